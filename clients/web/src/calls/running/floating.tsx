/** The call while something else is read: a small tile that brings it back. */

import { useEffect, useRef } from "preact/hooks";

import type { ActiveCall } from "@hubbub/client";

import { useClient } from "../../client";
import { nameOf, titleOf } from "../../format";
import { Avatar, Icon, IconButton } from "../../parts";
import { talkingSince, useServerNow } from "../clock";
import type { CallActs } from "./controls";
import { useDesk } from "../desk";
import { endedBecause } from "../ending";
import { Picture } from "./picture";
import { clockOf } from "../words";

export function FloatingCall({ call, acts }: { call: ActiveCall; acts: CallActs }) {
  const client = useClient();
  const desk = useDesk();
  const now = useServerNow(client, true);
  const room = client.room(call.roomId);
  const title = room ? titleOf(client, room) : "Call";
  const first = call.remote[0];
  const sharer = call.remote.find((one) => one.screen && one.sending.has("screen"));
  const camera = first?.sending.has("camera") ? first.camera : undefined;
  const shown = sharer?.screen ?? camera;
  const mic = call.sending.has("mic");
  const back = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    // Whoever came by a key stands here now; whoever pressed a room stays there.
    if (document.activeElement === document.body) back.current?.focus();
  }, []);
  const state = call.phase === "ended" ? endedBecause(client, call, desk.byMe) : stateOf(call, now);
  return (
    <section class="floating" aria-label="Call" data-phase={call.phase}>
      <button
        ref={back}
        type="button"
        class="floating-picture"
        aria-label={`Back to the call with ${title}`}
        title="Back to the call"
        onClick={() => desk.expand(true)}
      >
        {shown && call.phase !== "ended" ? (
          <Picture
            stream={shown}
            whole={sharer !== undefined}
            label={`Picture of ${first ? nameOf(client.people.user(first.user_id)) : title}`}
          />
        ) : (
          <Avatar
            id={first?.user_id ?? room?.user_ids?.find((id) => id !== client.me?.id) ?? call.roomId}
            name={title}
          />
        )}
      </button>
      <div class="floating-row">
        <span class="room-words">
          <strong>{title}</strong>
          <span role={call.phase === "connected" ? undefined : "status"}>{state}</span>
        </span>
        {call.phase === "ended" ? (
          <IconButton icon="close" label="Close" onClick={desk.dismiss} />
        ) : (
          <>
            <IconButton icon={mic ? "mic" : "mic_off"} label={mic ? "Mute" : "Unmute"} onClick={acts.mute} />
            <button type="button" class="floating-end" aria-label="Hang up" title="Hang up" onClick={acts.hangUp}>
              <Icon name="hangup" />
            </button>
          </>
        )}
      </div>
      {call.sending.has("screen") && call.phase !== "ended" && (
        <p class="floating-note">
          You are sharing your screen
          <button type="button" class="link" onClick={acts.share}>
            Stop
          </button>
        </p>
      )}
    </section>
  );
}

function stateOf(call: ActiveCall, now: number): string {
  switch (call.phase) {
    case "ringing":
      return "Ringing …";
    case "connecting":
      return "Connecting …";
    case "reconnecting":
      return "Reconnecting …";
    default:
      return clockOf(now - (talkingSince(call) ?? now));
  }
}
