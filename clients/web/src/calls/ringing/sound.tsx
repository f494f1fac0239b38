/** The sound of a call: the others' voices out of the chosen loudspeaker, and what the telephone itself says. */

import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import type { ActiveCall, CallPhase } from "@hubbub/client";

import { usePreferences } from "../devices/preferences";
import { audioContext, play, type Tone } from "./tones";

/** Plays everybody. Stays in the page wherever the picture is shown, so that a voice never breaks off. */
export function Voices({ call }: { call: ActiveCall }) {
  const [blocked, setBlocked] = useState(false);
  const { speaker } = usePreferences();
  const heard = call.remote.flatMap(({ device_id, audio, screenAudio }) => [
    ...(audio ? [{ key: `${device_id} mic`, stream: audio }] : []),
    ...(screenAudio ? [{ key: `${device_id} screen`, stream: screenAudio }] : []),
  ]);
  return (
    <>
      {heard.map(({ key, stream }) => (
        <Voice key={key} stream={stream} speaker={speaker} again={blocked} onBlocked={setBlocked} />
      ))}
      {blocked && (
        <button type="button" class="call-unblock primary" onClick={() => setBlocked(false)}>
          The browser keeps this page silent: press here to hear the call
        </button>
      )}
    </>
  );
}

interface VoiceProps {
  stream: MediaStream;
  speaker: string;
  again: boolean;
  onBlocked: (blocked: boolean) => void;
}

function Voice({ stream, speaker, again, onBlocked }: VoiceProps) {
  const element = useRef<HTMLAudioElement>(null);
  useEffect(() => {
    element.current!.srcObject = stream;
  }, [stream]);
  useEffect(() => {
    const audio = element.current!;
    // The chosen one is unplugged: the system's choice then.
    if ("setSinkId" in audio) audio.setSinkId(speaker).catch(() => (speaker ? audio.setSinkId("") : undefined));
  }, [speaker]);
  useEffect(() => {
    if (again) return;
    element.current!.play().catch((cause: unknown) => {
      if (cause instanceof DOMException && cause.name === "NotAllowedError") onBlocked(true);
    });
  }, [stream, again]);
  return <audio ref={element} autoplay hidden />;
}

/** `playing`, or `blocked` until somebody touches the page; `off`: nothing is to be heard. */
export type SoundState = "off" | "playing" | "blocked";

/** Play a tone for as long as it is named. */
export function useTone(tone: Tone | undefined): SoundState {
  const [state, setState] = useState<SoundState>("off");
  useEffect(() => {
    if (!tone) return setState("off");
    const context = audioContext();
    if (!context) return setState("blocked");
    const look = () => setState(context.state === "running" ? "playing" : "blocked");
    look();
    context.addEventListener("statechange", look);
    const playing = play(tone);
    return () => {
      context.removeEventListener("statechange", look);
      playing.stop();
    };
  }, [tone]);
  return state;
}

/**
 * Ring in one tab of this browser: five tabs of one person must not ring in chorus.
 *
 * A tab that the browser keeps silent, because nobody has touched it, does not stand in the way of one that is heard.
 */
export function useRing(tone: Tone | undefined, name: string): SoundState {
  const audible = useAudible(tone !== undefined);
  const mine = useOnlyTab(tone !== undefined && audible, name);
  const state = useTone(mine ? tone : undefined);
  return tone && !audible ? "blocked" : state;
}

function useAudible(wanted: boolean): boolean {
  const [, draw] = useState(0);
  const context = useMemo(() => (wanted ? audioContext() : undefined), [wanted]);
  useEffect(() => {
    const look = () => draw((count) => count + 1);
    context?.addEventListener("statechange", look);
    return () => context?.removeEventListener("statechange", look);
  }, [context]);
  return context?.state === "running";
}

function useOnlyTab(wanted: boolean, name: string): boolean {
  const [mine, setMine] = useState(false);
  useEffect(() => {
    if (!wanted) return setMine(false);
    if (!navigator.locks) return setMine(true);
    const over = new AbortController();
    const held = new Promise<void>((done) => over.signal.addEventListener("abort", () => done()));
    navigator.locks
      .request(`hubbub.ring.${name}`, { signal: over.signal }, () => {
        setMine(true);
        return held;
      })
      .catch(() => undefined);
    return () => over.abort();
  }, [wanted, name]);
  return wanted && mine;
}

/** A short sign when somebody is there, and when it is over. */
export function usePhaseSigns(phase: CallPhase | undefined): void {
  const before = useRef(phase);
  useEffect(() => {
    const was = before.current;
    before.current = phase;
    if (phase === "connected" && (was === "connecting" || was === "ringing")) play("joined");
    if (phase === "ended" && was !== undefined && was !== "ended") play("over");
  }, [phase]);
}
