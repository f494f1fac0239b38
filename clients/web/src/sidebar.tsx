import { useState } from "preact/hooks";

import type { Hubbub, Room } from "@hubbub/client";

import { CallMark } from "./calls/buttons";
import { CallListButton } from "./calls/past/call_list";
import { useCallHistory } from "./calls/past/history";
import { recordWords, type CallRecord } from "./calls/words";
import type { DialogName } from "./chat";
import { useClient } from "./client";
import { placeOf, useDrafts } from "./drafts";
import { listNames, nameOf, otherId, shortTime, titleOf } from "./format";
import { Avatar, Icon, IconButton } from "./parts";

interface SidebarProps {
  selected: string | undefined;
  onSelect: (roomId: string) => void;
  onDialog: (name: DialogName) => void;
}

/** The rooms, the newest activity first, with what is unread. */
export function Sidebar({ selected, onSelect, onDialog }: SidebarProps) {
  const client = useClient();
  const [filter, setFilter] = useState("");
  const wanted = filter.trim().toLowerCase();
  const history = useCallHistory(client);
  const at = (room: Room) =>
    Math.max(client.preview(room.id)?.at ?? room.created_at, history.newestIn(room.id)?.at ?? 0);
  const rooms = client
    .rooms()
    .filter((room) => titleOf(client, room).toLowerCase().includes(wanted))
    .sort((a, b) => at(b) - at(a));
  const me = client.me;
  return (
    <nav class="sidebar" aria-label="Rooms">
      <header class="sidebar-head">
        <span class="who">
          <Avatar id={me?.id ?? ""} name={nameOf(me ?? undefined)} small />
          <strong>{nameOf(me ?? undefined)}</strong>
        </span>
        <CallListButton client={client} />
        <IconButton icon="plus" label="New chat" onClick={() => onDialog("chat")} />
        <IconButton icon="people" label="New group" onClick={() => onDialog("group")} />
        <IconButton icon="gear" label="Settings" onClick={() => onDialog("settings")} />
      </header>
      <div class="filter">
        <Icon name="search" />
        <input
          type="search"
          aria-label="Find a room"
          placeholder="Find a room"
          value={filter}
          onInput={(event) => setFilter(event.currentTarget.value)}
        />
      </div>
      <ul class="rooms">
        {rooms.map((room) => (
          <RoomRow
            key={room.id}
            client={client}
            room={room}
            call={history.newestIn(room.id)}
            missed={history.list.some((record) => record.roomId === room.id && history.isNew(record))}
            selected={room.id === selected}
            onSelect={() => onSelect(room.id)}
          />
        ))}
      </ul>
      {rooms.length === 0 && wanted !== "" && <p class="hint pad">No room of yours is called that.</p>}
      <button type="button" class="browse" onClick={() => onDialog("browse")}>
        Rooms open to all
      </button>
    </nav>
  );
}

interface RoomRowProps {
  client: Hubbub;
  room: Room;
  /** The room's newest call that has ended, as far as it is known. */
  call: CallRecord | undefined;
  /** One was missed, and this person has not seen that yet. */
  missed: boolean;
  selected: boolean;
  onSelect: () => void;
}

function RoomRow(props: RoomRowProps) {
  const { client, room } = props;
  // That of the open room is before one's eyes, and what is new goes before what is old.
  const waiting = !props.selected && room.unread === 0 && !props.missed;
  const draft = useDrafts().of(placeOf(room.id)).text.trim().slice(0, 200);
  const title = titleOf(client, room);
  const other = otherId(room, client.me?.id);
  const preview = client.preview(room.id);
  const call = props.call && props.call.at > (preview?.at ?? 0) ? props.call : undefined;
  const presence = other === undefined ? undefined : client.people.presenceOf(other);
  return (
    <li>
      <button
        type="button"
        class={`room-row${room.unread > 0 ? " unread" : ""}`}
        aria-current={props.selected ? "page" : undefined}
        onClick={props.onSelect}
      >
        <Avatar id={other ?? room.id} name={title} presence={presence} />
        <span class="room-words">
          <span class="room-line">
            <span class="room-title">{title}</span>
            {(call ?? preview) && <time class="room-time">{shortTime((call ?? preview)!.at)}</time>}
          </span>
          <span class="room-line">
            <span class={`room-preview${props.missed ? " missed" : ""}`}>
              {previewText(client, room, { call, draft: waiting ? draft : "" })}
            </span>
            <CallMark client={client} roomId={room.id} />
            {room.mentions > 0 && (
              <span class="badge mention" title="You were mentioned">
                @<span class="hidden-words"> {room.mentions} mentions</span>
              </span>
            )}
            {room.unread > 0 && (
              <span class="badge">
                {room.unread > 999 ? "999+" : room.unread}
                <span class="hidden-words"> unread</span>
              </span>
            )}
          </span>
        </span>
      </button>
    </li>
  );
}

function previewText(client: Hubbub, room: Room, { call, draft }: { call: CallRecord | undefined; draft: string }) {
  const typing = client.people.typingIn(room.id);
  if (typing.length > 0) {
    const names = typing.map((id) => nameOf(client.people.user(id)));
    return <em class="typing-words">{room.kind === "direct" ? "typing …" : `${listNames(names)} typing …`}</em>;
  }
  if (draft !== "") {
    return (
      <>
        <span class="draft-words">Draft:</span> {draft}
      </>
    );
  }
  if (call) return recordWords(call, client.me?.id);
  const preview = client.preview(room.id);
  if (!preview) return "No messages yet";
  const words = preview.body ?? "Message deleted";
  if (preview.sender_id === client.me?.id) return `You: ${words}`;
  return room.kind === "direct" ? words : `${nameOf(client.people.user(preview.sender_id))}: ${words}`;
}
