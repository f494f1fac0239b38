/** One person in a call: the picture, or the avatar while there is none, the name and what is off. */

import { useEffect, useRef, useState } from "preact/hooks";

import { Avatar, Icon } from "../../parts";
import { useSpeaking } from "../devices/levels";

interface TileProps {
  id: string;
  name: string;
  /** Under the picture, where it is not the name. */
  words?: string;
  /** Undefined: the camera is off. */
  stream: MediaStream | undefined;
  /** The microphone is off. */
  muted: boolean;
  level?: (() => number) | undefined;
  /** One's own camera is shown as a mirror does. */
  mirrored?: boolean;
  /** A shared screen: nothing of it may be cut off. */
  whole?: boolean;
  className?: string;
}

export function Tile(props: TileProps) {
  const { id, name, stream, muted, words = name, className = "" } = props;
  const speaking = useSpeaking(muted ? undefined : props.level);
  return (
    <figure class={`tile ${className}${speaking ? " speaking" : ""}`} data-picture={stream ? "on" : "off"}>
      <Avatar id={id} name={name} />
      {stream && (
        <Picture stream={stream} mirrored={props.mirrored} whole={props.whole} label={`Picture of ${words}`} />
      )}
      <figcaption>
        {muted && (
          <span class="tile-mark" title={`${words}: microphone off`}>
            <Icon name="mic_off" />
            <span class="hidden-words">Microphone off: </span>
          </span>
        )}
        <span class="tile-name">{words}</span>
      </figcaption>
    </figure>
  );
}

interface PictureProps {
  stream: MediaStream;
  label: string;
  mirrored?: boolean | undefined;
  whole?: boolean | undefined;
}

/** Without sound: that is played once, elsewhere, wherever the picture is shown. */
export function Picture({ stream, label, mirrored, whole }: PictureProps) {
  const element = useRef<HTMLVideoElement>(null);
  const [playing, setPlaying] = useState(false);
  useEffect(() => {
    const shown = element.current!;
    shown.srcObject = stream;
    void shown.play().catch(() => undefined);
    return () => {
      shown.srcObject = null;
    };
  }, [stream]);
  const classes = [mirrored ? "mirrored" : "", whole ? "whole" : "", playing ? "playing" : ""];
  return (
    <video
      ref={element}
      class={classes.filter(Boolean).join(" ")}
      aria-label={label}
      muted
      autoplay
      playsInline
      disableRemotePlayback
      onPlaying={() => setPlaying(true)}
    />
  );
}
