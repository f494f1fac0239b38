/** A call as a line of a room's log. */

import type { Notice } from "@hubbub/client";

import { useClient } from "../../client";
import { listNames, momentOf, nameOf, timeOf } from "../../format";
import { Icon } from "../../parts";
import { useDesk } from "../desk";
import { recordOf, recordWords, wasMissed } from "../words";

export function CallEntry({ notice, roomId }: { notice: Notice; roomId: string }) {
  const client = useClient();
  const desk = useDesk();
  const record = recordOf(notice, roomId);
  if (!record) return null;
  const me = client.me?.id;
  const room = client.room(roomId);
  const name = (id: string) => (id === me ? "you" : nameOf(client.people.user(id)));
  const starter = record.startedBy === me ? "You" : nameOf(client.people.user(record.startedBy));
  const group = room?.kind !== "direct" && record.userIds.length > 1;
  const missed = wasMissed(record, me);
  return (
    <li class={`call-entry${missed ? " missed" : ""}${record.startedBy === me ? " mine" : ""}`} data-seq={notice.seq}>
      <span class="call-entry-box">
        <span class="round">
          <Icon name={missed ? "missed" : record.media === "video" ? "video" : "phone"} />
        </span>
        <span class="room-words">
          <strong>{recordWords(record, me)}</strong>
          <span class="hint">
            {starter} called{group && ` · with ${listNames(record.userIds.map(name))}`} ·{" "}
            <time dateTime={new Date(record.at).toISOString()} title={momentOf(record.at)}>
              {timeOf(record.at)}
            </time>
          </span>
        </span>
        {record.talkMs > 0 && (
          <button type="button" class="link" onClick={() => desk.showQuality(record.callId)}>
            Connection
          </button>
        )}
        <button type="button" class="link" onClick={() => desk.call(roomId, record.media)}>
          {missed ? "Call back" : "Call again"}
        </button>
      </span>
    </li>
  );
}
