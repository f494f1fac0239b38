/** One's own devices without a call: opened while they are looked at, and closed after. */

import { useEffect, useState } from "preact/hooks";

import { Devices } from "@hubbub/client";

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
    void open(wish).then(({ stream, problem }) => {
      opened = stream;
      if (over) stop();
      else setPreview({ stream, waiting: false, problem });
    });
    return () => {
      over = true;
      stop();
    };
  }, [mic, camera, withCamera]);
  return preview;
}

/** As a call would take them, and with its words for what cannot be had. */
async function open(wish: { mic: string; camera: string; withCamera: boolean }) {
  const devices = new Devices(() => navigator.mediaDevices);
  const taken = await devices.take(wish.withCamera ? ["mic", "camera"] : ["mic"], wish);
  const tracks = [taken.mic, taken.camera].filter((track) => track !== undefined);
  const stream = tracks.length > 0 ? new MediaStream(tracks) : undefined;
  const problem = taken.problem ?? "";
  return { stream, problem: problem && !taken.mic ? `${problem} You can still call, and only listen.` : problem };
}
