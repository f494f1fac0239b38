/** One's own devices without a call: opened while they are looked at, and closed after. */

import { useEffect, useState } from "preact/hooks";

export interface Preview {
  stream: MediaStream | undefined;
  waiting: boolean;
  problem: string;
}

const WAITING: Preview = { stream: undefined, waiting: true, problem: "" };

export function usePreview(wish: { mic: string; camera: string; withCamera: boolean }): Preview {
  const { mic, camera, withCamera } = wish;
  const [preview, setPreview] = useState<Preview>(WAITING);
  useEffect(() => {
    let over = false;
    let opened: MediaStream | undefined;
    const stop = () => opened?.getTracks().forEach((track) => track.stop());
    setPreview(WAITING);
    open(wish).then(
      ({ stream, problem }) => {
        opened = stream;
        if (over) stop();
        else setPreview({ stream, waiting: false, problem });
      },
      () => over || setPreview({ stream: undefined, waiting: false, problem: REFUSED }),
    );
    return () => {
      over = true;
      stop();
    };
  }, [mic, camera, withCamera]);
  return preview;
}

const REFUSED =
  "The browser lets this page use neither microphone nor camera. Allow them by the sign beside the address; you can still call, and only listen.";

async function open(wish: { mic: string; camera: string; withCamera: boolean }) {
  const audio = deviceOf(wish.mic);
  if (!wish.withCamera) return { stream: await navigator.mediaDevices.getUserMedia({ audio }), problem: "" };
  const video = { width: { ideal: 1280 }, height: { ideal: 720 }, ...deviceOf(wish.camera) };
  try {
    return { stream: await navigator.mediaDevices.getUserMedia({ audio, video }), problem: "" };
  } catch {
    // Without a camera one can still talk.
    const stream = await navigator.mediaDevices.getUserMedia({ audio });
    return {
      stream,
      problem: "The camera cannot be used: none is there, it is not allowed, or another program has it.",
    };
  }
}

function deviceOf(id: string): MediaTrackConstraints {
  return id ? { deviceId: { ideal: id } } : {};
}
