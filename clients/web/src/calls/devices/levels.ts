/** How loud a stream is, for meters and for the ring around who speaks. */

import { useEffect, useState } from "preact/hooks";

const LOOK_MS = 100;
/** RMS above which somebody speaks; breath and fans stay below. */
const SPEAKING = 0.03;
/** A pause between words is still speaking. */
const HOLD_MS = 600;

export interface LevelMeter {
  /** 0..1 */
  read(): number;
  close(): void;
}

export function levelOf(stream: MediaStream): LevelMeter {
  const silent = { read: () => 0, close: () => undefined };
  if (typeof AudioContext === "undefined" || stream.getAudioTracks().length === 0) return silent;
  // One of its own: browsers keep a source, and the peer connection behind it, for as long as its context runs.
  const context = new AudioContext();
  const source = context.createMediaStreamSource(stream);
  const analyser = context.createAnalyser();
  analyser.fftSize = 1024;
  source.connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  return {
    read: () => {
      if (context.state === "suspended" && navigator.userActivation?.hasBeenActive) void context.resume();
      analyser.getFloatTimeDomainData(samples);
      let sum = 0;
      for (const sample of samples) sum += sample * sample;
      return Math.min(Math.sqrt(sum / samples.length) * 3, 1);
    },
    close: () => void context.close().catch(() => undefined),
  };
}

/** True while somebody speaks. Draws only when that changes. */
export function useSpeaking(read: (() => number) | undefined): boolean {
  const [speaking, setSpeaking] = useState(false);
  useEffect(() => {
    if (!read) return setSpeaking(false);
    let heardAt = -Infinity;
    const timer = setInterval(() => {
      const now = performance.now();
      if (read() > SPEAKING * 3) heardAt = now;
      setSpeaking(now - heardAt < HOLD_MS);
    }, LOOK_MS);
    return () => clearInterval(timer);
  }, [read]);
  return speaking;
}

export function useStreamLevel(stream: MediaStream | undefined): (() => number) | undefined {
  const [meter, setMeter] = useState<LevelMeter>();
  useEffect(() => {
    if (!stream) return setMeter(undefined);
    const opened = levelOf(stream);
    setMeter(opened);
    return () => opened.close();
  }, [stream]);
  return meter?.read;
}
