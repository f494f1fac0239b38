import { useEffect, useState } from "preact/hooks";

import { callTitle } from "./calls/buttons";
import { DeskContext, useNewDesk } from "./calls/desk";
import { CallLayer } from "./calls/layer";
import { useClient } from "./client";
import { BrowseRooms, NewChat, NewGroup } from "./dialogs";
import { otherId, titleOf } from "./format";
import { RoomView } from "./room";
import { Settings } from "./settings";
import { Sidebar } from "./sidebar";

export type DialogName = "chat" | "group" | "browse" | "settings";

/** Everything behind the login: list, room, dialogs, and the banner that tells the truth about the line. */
export function Chat() {
  const client = useClient();
  const [roomId, setRoomId] = useState<string>();
  const [present, setPresent] = useState<string[]>([]);
  const [dialog, setDialog] = useState<DialogName>();
  const me = client.me?.id;
  const rooms = client.rooms();
  const room = roomId === undefined ? undefined : client.room(roomId);
  const desk = useNewDesk(client);
  const call = client.calls.current;
  const onStage = desk.expanded && call !== undefined;

  const others = rooms.map((known) => otherId(known, me)).filter((id) => id !== undefined && id !== me);
  const watched = [...others, ...present.filter((id) => id !== me)] as string[];
  useEffect(() => client.watchPresence(watched), [client, watched.join()]);

  const unread = rooms.reduce((sum, known) => sum + known.unread, 0);
  useEffect(() => {
    const title = callTitle(client) ?? (room ? `${titleOf(client, room)} – Hubbub` : "Hubbub");
    document.title = unread > 0 ? `(${unread}) ${title}` : title;
  });

  const close = () => setDialog(undefined);
  useEffect(() => {
    if (call) close();
  }, [call?.id]);
  const show = (id: string) => {
    close();
    setRoomId(id);
    desk.expand(false);
  };

  return (
    <DeskContext.Provider value={desk}>
      <div class={`chat${room ? " in-room" : ""}${onStage ? " on-stage" : ""}`}>
        <Banner told={onStage && call.phase === "reconnecting"} />
        <Sidebar selected={room?.id} onSelect={show} onDialog={setDialog} />
        {room ? (
          <RoomView key={room.id} roomId={room.id} onBack={() => setRoomId(undefined)} onPeople={setPresent} />
        ) : (
          <Nothing empty={rooms.length === 0} ready={client.connection === "online"} onDialog={setDialog} />
        )}
        {dialog === "chat" && <NewChat onClose={close} onRoom={show} />}
        {dialog === "group" && <NewGroup onClose={close} onRoom={show} />}
        {dialog === "browse" && <BrowseRooms onClose={close} onRoom={show} />}
        {dialog === "settings" && <Settings onClose={close} />}
        <CallLayer onRoom={show} />
      </div>
    </DeskContext.Provider>
  );
}

/** Nothing while all is well, for the first moment of trouble (a blink is no news), and while the call says it. */
function Banner({ told }: { told: boolean }) {
  const client = useClient();
  const troubled = client.connection === "connecting";
  const [shown, setShown] = useState(false);
  useEffect(() => {
    if (!troubled) {
      setShown(false);
      return;
    }
    const timer = setTimeout(() => setShown(true), 600);
    return () => clearTimeout(timer);
  }, [troubled]);
  const waiting = client.waiting;
  return (
    <div class="banner" role="status" hidden={!shown || told}>
      {shown && !told && (
        <>
          <span class="spinner" aria-hidden="true" />
          <span>
            No connection. Reconnecting …
            {waiting > 0 && ` ${waiting === 1 ? "1 message waits" : `${waiting} messages wait`} and will be sent.`}
          </span>
          <button type="button" class="link" onClick={() => client.retryNow()}>
            Try now
          </button>
        </>
      )}
    </div>
  );
}

function Nothing(props: { empty: boolean; ready: boolean; onDialog: (name: DialogName) => void }) {
  if (!props.ready && props.empty) {
    return (
      <main class="nothing">
        <p role="status">Loading your rooms …</p>
      </main>
    );
  }
  return (
    <main class="nothing">
      <img src="/favicon.svg" alt="" width="64" height="64" />
      <h1>{props.empty ? "Nobody here yet" : "Pick a conversation"}</h1>
      <p>
        {props.empty
          ? "Start a chat with somebody, make a group, or look at the rooms that are open to all."
          : "Choose a room from the list, or start something new."}
      </p>
      <div class="row">
        <button type="button" class="primary" onClick={() => props.onDialog("chat")}>
          New chat
        </button>
        <button type="button" onClick={() => props.onDialog("group")}>
          New group
        </button>
        <button type="button" onClick={() => props.onDialog("browse")}>
          Open rooms
        </button>
      </div>
    </main>
  );
}
