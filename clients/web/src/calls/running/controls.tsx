/** The row of buttons under a call. */

import type { ActiveCall, Room } from "@hubbub/client";

import { useClient } from "../../client";
import { Icon, type IconName } from "../../parts";
import { useDesk } from "../desk";
import { keyName, type Shortcut } from "./shortcuts";

export interface CallActs {
  mute(): void;
  camera(): void;
  share(): void;
  full(): void;
  /** Undefined: there is no picture to take out, or the browser cannot. */
  pip: (() => void) | undefined;
  /** From the call to the chat, or back. */
  show(): void;
  hangUp(): void;
  help(): void;
}

/** What buttons and keys do in a call. */
export function actsOf(call: ActiveCall, more: Pick<CallActs, "full" | "pip" | "show" | "hangUp" | "help">): CallActs {
  const ignore = () => undefined;
  return {
    mute: () => void call.mute(call.sending.has("mic")).catch(ignore),
    camera: () => void call.camera(!call.sending.has("camera")).catch(ignore),
    share: () => void call.shareScreen(!call.sending.has("screen")).catch(ignore),
    ...more,
  };
}

export function Controls({ call, acts, room }: { call: ActiveCall; acts: CallActs; room: Room | undefined }) {
  const client = useClient();
  const desk = useDesk();
  const { sending } = call;
  const there = new Set(call.call.participants.map(({ user_id }) => user_id)).size;
  const rules = call.call.started_by === client.me?.id || room?.role === "owner" || room?.role === "admin";
  const mayEnd = rules && room?.kind !== "direct" && there > 1;
  return (
    <div class="controls" role="toolbar" aria-label="Call">
      <Toggle
        icon={sending.has("mic") ? "mic" : "mic_off"}
        off={!sending.has("mic")}
        words={sending.has("mic") ? "Mute" : "Unmute"}
        shortcut="mute"
        onClick={acts.mute}
      />
      <Toggle
        icon={sending.has("camera") ? "video" : "video_off"}
        off={!sending.has("camera")}
        words={sending.has("camera") ? "Camera off" : "Camera on"}
        shortcut="camera"
        onClick={acts.camera}
      />
      {"getDisplayMedia" in (navigator.mediaDevices ?? {}) && (
        <Toggle
          icon="screen"
          active={sending.has("screen")}
          words={sending.has("screen") ? "Stop sharing" : "Share screen"}
          shortcut="share"
          onClick={acts.share}
        />
      )}
      <Toggle icon="gear" words="Devices" onClick={() => desk.showDevices(true)} />
      <button type="button" class="control end" title={`Hang up (${keyName("hangup")})`} onClick={acts.hangUp}>
        <span class="round">
          <Icon name="hangup" />
        </span>
        Hang up
      </button>
      {mayEnd && (
        <button type="button" class="control end" onClick={() => desk.hangUp(true)}>
          <span class="round">
            <Icon name="close" />
          </span>
          End for all
        </button>
      )}
    </div>
  );
}

interface ToggleProps {
  icon: IconName;
  words: string;
  shortcut?: Shortcut;
  /** What it controls is off: shown in the colour of a warning. */
  off?: boolean;
  active?: boolean;
  onClick: () => void;
}

function Toggle({ icon, words, shortcut, off, active, onClick }: ToggleProps) {
  const classes = ["control", off ? "off" : "", active ? "active" : ""];
  return (
    <button
      type="button"
      class={classes.filter(Boolean).join(" ")}
      title={shortcut ? `${words} (${keyName(shortcut)})` : words}
      aria-keyshortcuts={shortcut && keyName(shortcut)}
      onClick={onClick}
    >
      <span class="round">
        <Icon name={icon} />
      </span>
      {words}
    </button>
  );
}
