import { useEffect, useState } from "preact/hooks";

import { asHubbubError, type Hubbub, type Message, type Room } from "@hubbub/client";

import { CallBanner, CallButtons } from "./calls/buttons";
import { useClient } from "./client";
import { Composer } from "./composer";
import { placeOf, useDrafts } from "./drafts";
import { listNames, nameOf, otherId, shortTime, titleOf } from "./format";
import { Members } from "./members";
import { Avatar, IconButton, Problem } from "./parts";
import { Timeline } from "./timeline";

interface RoomViewProps {
  roomId: string;
  onBack: () => void;
  /** The members are known: their presence is wanted. */
  onPeople: (userIds: string[]) => void;
}

/** One room: head, messages, composer; beside it a thread or the members. */
export function RoomView({ roomId, onBack, onPeople }: RoomViewProps) {
  const client = useClient();
  const room = client.room(roomId);
  const [thread, setThread] = useState<number>();
  const [members, setMembers] = useState(false);
  const [problem, setProblem] = useState("");
  const connected = client.connection === "online";

  useEffect(() => {
    setProblem("");
    client.openRoom(roomId).catch((refusal: unknown) => setProblem(asHubbubError(refusal).message));
    client.members(roomId).then(
      (members) => onPeople(members.map((member) => member.user.id)),
      () => undefined,
    );
  }, [client, roomId, connected, room?.member_count]);

  if (!room) return null;
  return (
    <>
      <main class="room">
        <RoomHead client={client} room={room} onBack={onBack} onMembers={() => setMembers(!members)} members={members} />
        <CallBanner roomId={room.id} />
        <Problem text={problem} />
        <Conversation room={room} onThread={setThread} />
      </main>
      {thread !== undefined && (
        <aside class="side" aria-label="Thread">
          <header class="room-head">
            <h2>Thread</h2>
            <IconButton icon="close" label="Close the thread" onClick={() => setThread(undefined)} />
          </header>
          <Conversation key={thread} room={room} thread={thread} />
        </aside>
      )}
      {members && thread === undefined && <Members room={room} onClose={() => setMembers(false)} onLeft={onBack} />}
    </>
  );
}

/** Messages and the composer under them: the main line, or one thread. */
function Conversation(props: { room: Room; thread?: number; onThread?: (seq: number) => void }) {
  const drafts = useDrafts();
  const [editing, setEditing] = useState<Message>();
  const { room, thread } = props;
  const mayWrite = room.kind !== "broadcast" || room.role !== "member" || thread !== undefined;
  return (
    <>
      <Timeline
        roomId={room.id}
        thread={thread}
        onReply={(message) => {
          setEditing(undefined);
          drafts.change(placeOf(room.id, thread), { reply: message.seq });
        }}
        onEdit={setEditing}
        onThread={props.onThread}
      />
      {mayWrite ? (
        <Composer roomId={room.id} thread={thread} editing={editing} onEdited={() => setEditing(undefined)} />
      ) : (
        <p class="hint pad">Only the owner and the admins write here.</p>
      )}
    </>
  );
}

interface HeadProps {
  client: Hubbub;
  room: Room;
  members: boolean;
  onBack: () => void;
  onMembers: () => void;
}

function RoomHead({ client, room, members, onBack, onMembers }: HeadProps) {
  const title = titleOf(client, room);
  const other = otherId(room, client.me?.id);
  const presence = other === undefined ? undefined : client.people.presenceOf(other);
  return (
    <header class="room-head">
      <span class="only-narrow">
        <IconButton icon="back" label="Back to the rooms" onClick={onBack} />
      </span>
      <Avatar id={other ?? room.id} name={title} presence={presence} small />
      <div class="room-words">
        <h1>{title}</h1>
        <p class="room-sub" aria-live="polite">
          {subtitle(client, room)}
        </p>
      </div>
      <CallButtons client={client} room={room} />
      {room.kind !== "direct" && (
        <IconButton icon="people" label="Members" pressed={members} onClick={onMembers} />
      )}
    </header>
  );
}

const STATUS_WORDS: Record<string, string> = { online: "online", away: "away", busy: "busy" };

function subtitle(client: Hubbub, room: Room): string {
  const typing = client.people.typingIn(room.id).map((id) => nameOf(client.people.user(id)));
  if (typing.length > 0) {
    if (room.kind === "direct") return "typing …";
    return `${listNames(typing)} ${typing.length === 1 ? "is" : "are"} typing …`;
  }
  const other = otherId(room, client.me?.id);
  if (other === undefined) {
    const count = `${room.member_count} ${room.member_count === 1 ? "member" : "members"}`;
    return room.topic ? `${count} · ${room.topic}` : count;
  }
  const presence = client.people.presenceOf(other);
  if (!presence) return "";
  const seen = presence.last_seen_at ? `last seen ${shortTime(presence.last_seen_at)}` : "offline";
  const words = STATUS_WORDS[presence.status] ?? seen;
  return presence.text ? `${words} · ${presence.text}` : words;
}
