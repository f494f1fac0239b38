/** After a call: why it is over, and what now. */

import type { ActiveCall, Room } from "@hubbub/client";

import { useClient } from "../../client";
import { titleOf } from "../../format";
import { Avatar, Icon } from "../../parts";
import { talkingSince, useServerOffset } from "../clock";
import { useDesk } from "../desk";
import { endedBecause } from "../ending";
import { useHowItWas } from "./how_it_was";
import { clockOf } from "../words";

export function Ended({ call, room }: { call: ActiveCall; room: Room | undefined }) {
  const client = useClient();
  const desk = useDesk();
  const was = useHowItWas(call);
  const offset = useServerOffset(client);
  const name = room ? titleOf(client, room) : "";
  const since = talkingSince(call);
  const talked = since === undefined ? 0 : was.endedAt + offset - since;
  const elsewhere = call.reason === "answered_elsewhere";
  const again = () => desk.call(call.roomId, call.media);
  return (
    <div class="alone ended">
      <span class="ringing-picture">
        <Avatar id={room?.user_ids?.find((id) => id !== client.me?.id) ?? call.roomId} name={name} />
      </span>
      <p class="alone-title">{endedBecause(client, call, desk.byMe)}</p>
      {talked > 0 && <p class="stage-time">{clockOf(talked)}</p>}
      <div class="row">
        {elsewhere ? (
          <button
            type="button"
            class="primary"
            onClick={() => desk.answer(call.id, { takeOver: true, cameraOff: call.media === "audio" })}
          >
            Bring it back here
          </button>
        ) : (
          <button type="button" class="primary with-icon" onClick={again}>
            <Icon name={call.media === "video" ? "video" : "phone"} /> Call again
          </button>
        )}
        {call.connectedAt !== undefined && !elsewhere && (
          <button type="button" onClick={() => desk.showQuality(call.id)}>
            {was.bad ? "Why was this call bad?" : "How was the connection?"}
          </button>
        )}
        <button type="button" onClick={desk.dismiss}>
          Close
        </button>
      </div>
    </div>
  );
}
