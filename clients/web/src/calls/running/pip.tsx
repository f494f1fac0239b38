/** The picture in a window of its own, which stays while one reads something else, in this tab or another. */

import { useEffect, useRef } from "preact/hooks";

import type { ActiveCall } from "@hubbub/client";

/** A shared screen before a face. */
function mainPicture(call: ActiveCall): MediaStream | undefined {
  const sharer = call.remote.find((one) => one.screen && one.sending.has("screen"));
  return sharer?.screen ?? call.remote.find((one) => one.camera && one.sending.has("camera"))?.camera;
}

/** `element` is to be drawn whatever is shown; `toggle` is undefined while there is no picture, or no such window. */
export function usePip(call: ActiveCall) {
  const video = useRef<HTMLVideoElement>(null);
  const stream = document.pictureInPictureEnabled && call.phase !== "ended" ? mainPicture(call) : undefined;
  useEffect(() => {
    if (video.current) video.current.srcObject = stream ?? null;
    if (!stream && document.pictureInPictureElement) void document.exitPictureInPicture().catch(() => undefined);
  }, [stream]);
  const toggle = () => {
    const shown = document.pictureInPictureElement;
    const done = shown ? document.exitPictureInPicture() : video.current?.requestPictureInPicture();
    done?.catch(() => undefined);
  };
  return {
    // An element of its own: those of the views come and go, and the window with them.
    element: <video ref={video} class="pip-source" muted autoplay playsInline aria-hidden="true" tabIndex={-1} />,
    toggle: stream ? toggle : undefined,
  };
}
