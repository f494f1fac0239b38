import { useEffect, useState } from "preact/hooks";

import { asHubbubError, type Room, type User } from "@hubbub/client";

import { useClient } from "./client";
import { listNames, nameOf } from "./format";
import { Dialog, Field, Problem, valuesOf } from "./parts";
import { PeoplePicker } from "./people_picker";

interface DialogProps {
  onClose: () => void;
  /** A room is there to be shown. */
  onRoom: (roomId: string) => void;
}

export function NewChat({ onClose, onRoom }: DialogProps) {
  const client = useClient();
  const [problem, setProblem] = useState("");
  const start = async (user: User) => {
    try {
      const room = await client.api.createRoom({ kind: "direct", member_ids: [user.id] });
      client.addRoom(room);
      onRoom(room.id);
    } catch (refusal) {
      setProblem(asHubbubError(refusal).message);
    }
  };
  return (
    <Dialog title="New chat" onClose={onClose}>
      <Problem text={problem} />
      <PeoplePicker action="Chat" onPick={(user) => void start(user)} />
    </Dialog>
  );
}

export function NewGroup({ onClose, onRoom }: DialogProps) {
  const client = useClient();
  const [picked, setPicked] = useState<User[]>([]);
  const [problem, setProblem] = useState("");
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const values = valuesOf(event.currentTarget as HTMLFormElement);
    try {
      const room = await client.api.createRoom({
        kind: "group",
        name: values["name"] ?? "",
        member_ids: picked.map((user) => user.id),
        visibility: values["public"] ? "public" : "private",
      });
      client.addRoom(room);
      onRoom(room.id);
    } catch (refusal) {
      setProblem(asHubbubError(refusal).message);
    }
  };
  return (
    <Dialog title="New group" onClose={onClose}>
      <form onSubmit={(event) => void submit(event)}>
        <Field label="Name of the group" name="name" maxLength={200} required autofocus />
        <label class="check">
          <input type="checkbox" name="public" value="yes" /> Anybody on this server may find and join it
        </label>
        <PeoplePicker
          action="Add"
          skip={picked.map((user) => user.id)}
          onPick={(user) => setPicked([...picked, user])}
        />
        {picked.length > 0 && <p class="hint">With {listNames(picked.map(nameOf))}</p>}
        <Problem text={problem} />
        <button type="submit" class="primary">
          Make the group
        </button>
      </form>
    </Dialog>
  );
}

export function BrowseRooms({ onClose, onRoom }: DialogProps) {
  const client = useClient();
  const [query, setQuery] = useState("");
  const [rooms, setRooms] = useState<Room[]>();
  const [problem, setProblem] = useState("");
  useEffect(() => {
    client.api.publicRooms(query.trim()).then(
      (answer) => setRooms(answer.rooms),
      (refusal: unknown) => setProblem(asHubbubError(refusal).message),
    );
  }, [client, query]);

  const join = async (room: Room) => {
    try {
      if (!client.room(room.id)) {
        await client.api.addMembers(room.id, [client.me!.id]);
        client.addRoom(await client.api.room(room.id));
      }
      onRoom(room.id);
    } catch (refusal) {
      setProblem(asHubbubError(refusal).message);
    }
  };
  return (
    <Dialog title="Rooms open to all" onClose={onClose}>
      <label for="room-query">Find a room</label>
      <input id="room-query" type="search" value={query} onInput={(event) => setQuery(event.currentTarget.value)} />
      <Problem text={problem} />
      <ul class="members">
        {rooms?.map((room) => (
          <li key={room.id}>
            <span class="room-words">
              <span>{room.name}</span>
              <span class="hint">
                {room.member_count} {room.member_count === 1 ? "member" : "members"}
                {room.topic && ` · ${room.topic}`}
              </span>
            </span>
            <button type="button" onClick={() => void join(room)}>
              {client.room(room.id) ? "Open" : "Join"}
            </button>
          </li>
        ))}
      </ul>
      {rooms?.length === 0 && <p class="hint">No open room yet. Make a group that anybody may join.</p>}
    </Dialog>
  );
}
