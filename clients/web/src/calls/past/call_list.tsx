/** All calls of all rooms; what was missed stands out. */

import { useEffect, useRef, useState } from "preact/hooks";

import { asHubbubError, type Hubbub } from "@hubbub/client";

import { useClient } from "../../client";
import { momentOf, nameOf, otherId, shortTime, timeOf, titleOf, dayKey } from "../../format";
import { Avatar, Dialog, Icon, IconButton, Problem } from "../../parts";
import { useDesk } from "../desk";
import { useCallHistory } from "./history";
import { askNotifications } from "../ringing/notify";
import { recordWords, wasMissed, type CallRecord } from "../words";

export function CallList({ onRoom }: { onRoom: (roomId: string) => void }) {
  const client = useClient();
  const desk = useDesk();
  const history = useCallHistory(client);
  const [missedOnly, setMissedOnly] = useState(false);
  const [problem, setProblem] = useState("");
  const fresh = useRef(new Set(history.list.filter((record) => history.isNew(record)).map(({ callId }) => callId)));
  const further = () => {
    history.further().then(
      () => setProblem(""),
      (refusal: unknown) => setProblem(asHubbubError(refusal).message),
    );
  };
  useEffect(further, [history]);
  useEffect(() => history.seen(), [history.list.length]);
  const shown = history.list.filter((record) => !missedOnly || wasMissed(record, client.me?.id));
  const open = (roomId: string) => {
    desk.showList(false);
    onRoom(roomId);
  };
  return (
    <Dialog title="Calls" onClose={() => desk.showList(false)}>
      <div class="row">
        <label class="check">
          <input
            type="checkbox"
            checked={missedOnly}
            onChange={(event) => setMissedOnly(event.currentTarget.checked)}
          />
          Missed only
        </label>
        <button type="button" class="with-icon" onClick={() => desk.showDevices(true)}>
          <Icon name="gear" /> Devices
        </button>
        <NotifyButton />
      </div>
      <Problem text={problem} />
      <ul class="calls">
        {shown.map((record) => (
          <Row
            key={record.callId}
            client={client}
            record={record}
            fresh={fresh.current.has(record.callId)}
            onRoom={open}
          />
        ))}
      </ul>
      {history.loading && (
        <p class="hint" role="status">
          Looking …
        </p>
      )}
      {!history.loading && shown.length === 0 && (
        <p class="hint">{missedOnly ? "No missed call." : "No call yet. Press the telephone above a conversation."}</p>
      )}
      {!history.loading && history.mayReachFurther && (
        <button type="button" onClick={further}>
          Look further back
        </button>
      )}
    </Dialog>
  );
}

interface RowProps {
  client: Hubbub;
  record: CallRecord;
  fresh: boolean;
  onRoom: (roomId: string) => void;
}

function Row({ client, record, fresh, onRoom }: RowProps) {
  const desk = useDesk();
  const room = client.room(record.roomId);
  if (!room) return null;
  const title = titleOf(client, room);
  const missed = wasMissed(record, client.me?.id);
  const out = record.startedBy === client.me?.id;
  const day = dayKey(record.at) === dayKey(Date.now()) ? "" : `${shortTime(record.at)}, `;
  return (
    <li class={`call-row${missed ? " missed" : ""}${fresh ? " fresh" : ""}`}>
      <button type="button" class="call-open" onClick={() => onRoom(room.id)}>
        <Avatar id={otherId(room, client.me?.id) ?? room.id} name={title} small />
        <span class="room-words">
          <strong>{title}</strong>
          <span class="call-what">
            <Icon name={missed ? "missed" : record.media === "video" ? "video" : "phone"} />
            {!missed && (out ? "↗ " : "↙ ")}
            <span class="hidden-words">{out ? "Outgoing: " : "Incoming: "}</span>
            {recordWords(record, client.me?.id)}
            {room.kind !== "direct" && !out && ` · ${nameOf(client.people.user(record.startedBy))}`}
          </span>
        </span>
        <time class="room-time" title={momentOf(record.at)}>
          {day}
          {timeOf(record.at)}
        </time>
      </button>
      {record.talkMs > 0 && (
        <IconButton icon="clock" label="How was the connection?" onClick={() => desk.showQuality(record.callId)} />
      )}
      <IconButton
        icon={record.media === "video" ? "video" : "phone"}
        label={`Call ${title}`}
        onClick={() => {
          desk.showList(false);
          desk.call(room.id, record.media);
        }}
      />
    </li>
  );
}

/** While the system's notifications were neither allowed nor forbidden. */
function NotifyButton() {
  const [asked, setAsked] = useState(false);
  if (asked || typeof Notification === "undefined" || Notification.permission !== "default") return null;
  const ask = () => {
    askNotifications();
    setAsked(true);
  };
  return (
    <button type="button" onClick={ask}>
      Notify me of calls when this page is hidden
    </button>
  );
}

/** In the head of the sidebar: the list, and how many were missed since. */
export function CallListButton({ client }: { client: Hubbub }) {
  const desk = useDesk();
  const { newCount } = useCallHistory(client);
  return (
    <span class="with-count">
      <IconButton
        icon="calls"
        label={newCount > 0 ? `Calls, ${newCount} missed` : "Calls"}
        onClick={() => desk.showList(true)}
      />
      {newCount > 0 && (
        <span class="badge mention" aria-hidden="true">
          {newCount}
        </span>
      )}
    </span>
  );
}
