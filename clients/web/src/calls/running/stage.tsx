/** The call as it fills the page: pictures, who is there, how it goes, and what can be done. */

import { useEffect, useRef, useState } from "preact/hooks";

import type { ActiveCall, RemoteMedia, Room } from "@hubbub/client";

import { useClient } from "../../client";
import { nameOf, titleOf } from "../../format";
import { Avatar, Icon, IconButton } from "../../parts";
import { Ended } from "./ended";
import { talkingSince, useServerNow } from "../clock";
import { Controls, type CallActs } from "./controls";
import { leaveFull } from "./full_screen";
import { useStreamLevel } from "../devices/levels";
import { Tile } from "./picture";
import { QualityBars } from "./quality_bars";
import { keyName } from "./shortcuts";
import { clockOf } from "../words";

interface StageProps {
  call: ActiveCall;
  acts: CallActs;
}

export function Stage({ call, acts }: StageProps) {
  const client = useClient();
  const room = client.room(call.roomId);
  const stage = useRef<HTMLElement>(null);
  useEffect(() => stage.current?.focus(), []);
  useEffect(() => leaveFull, []);
  return (
    <main class="stage" ref={stage} tabIndex={-1} aria-label="Call" data-phase={call.phase}>
      <StageHead call={call} room={room} acts={acts} />
      {call.phase === "reconnecting" && <Reconnecting call={call} />}
      <Trouble text={call.problem ?? ""} />
      {call.sending.has("screen") && (
        <p class="stage-note sharing" role="status">
          <Icon name="screen" /> You are sharing your screen
          <button type="button" onClick={acts.share}>
            Stop
          </button>
        </p>
      )}
      {call.phase === "ended" ? (
        <Ended call={call} room={room} />
      ) : (
        <>
          {call.remote.length > 0 ? <Pictures call={call} /> : <Alone call={call} room={room} />}
          <Controls call={call} acts={acts} room={room} />
        </>
      )}
    </main>
  );
}

/** What is missing of one's own sound or picture: said until it is mended, or read. */
function Trouble({ text }: { text: string }) {
  const [read, setRead] = useState("");
  useEffect(() => setRead(""), [text]);
  if (text === "" || text === read) return null;
  return (
    <p class="stage-note" role="alert">
      <Icon name="warning" /> {text}
      <button type="button" onClick={() => setRead(text)}>
        Close
      </button>
    </p>
  );
}

function StageHead({ call, room, acts }: { call: ActiveCall; room: Room | undefined; acts: CallActs }) {
  const client = useClient();
  const since = talkingSince(call);
  const talking = since !== undefined && call.phase !== "ended";
  const now = useServerNow(client, talking);
  return (
    <header class="stage-head">
      <h1>{room ? titleOf(client, room) : "Call"}</h1>
      {talking && <time class="stage-time">{clockOf(now - since)}</time>}
      {talking && <QualityBars quality={call.quality} />}
      <span class="stage-chat">
        {call.phase !== "ended" && <Windows acts={acts} />}
        {room && room.unread > 0 && <span class="badge">{room.unread}</span>}
        <IconButton
          icon="smaller"
          label={`Chat, with the call as a small tile (${keyName("show")})`}
          onClick={acts.show}
        />
      </span>
    </header>
  );
}

/** Where the picture is shown, and the help for the keys. */
function Windows({ acts }: { acts: CallActs }) {
  return (
    <span class="only-wide">
      <IconButton icon="keyboard" label={`Keys in a call (${keyName("help")})`} onClick={acts.help} />
      {acts.pip && (
        <IconButton icon="pip" label={`Picture in a window of its own (${keyName("pip")})`} onClick={acts.pip} />
      )}
      {document.fullscreenEnabled && (
        <IconButton icon="full" label={`Full screen (${keyName("full")})`} onClick={acts.full} />
      )}
    </span>
  );
}

function Reconnecting({ call }: { call: ActiveCall }) {
  const client = useClient();
  const words =
    client.connection === "connecting"
      ? "The server cannot be reached. The call goes on if it can; reconnecting …"
      : undefined;
  return (
    <p class="stage-note" role="status">
      <span class="spinner" aria-hidden="true" /> {words ?? "The connection is lost. Reconnecting …"}
      <button type="button" onClick={() => call.reconnect()}>
        Try now
      </button>
    </p>
  );
}

/** Nobody else is there yet: it rings, or one waits for others. */
function Alone({ call, room }: { call: ActiveCall; room: Room | undefined }) {
  const client = useClient();
  const me = client.me;
  const title = room ? titleOf(client, room) : "";
  const other = room?.user_ids?.find((id) => id !== me?.id);
  const rings = call.phase === "ringing";
  return (
    <div class="alone">
      <span class={`ringing-picture${rings ? " rings" : ""}`}>
        <Avatar id={other ?? call.roomId} name={title} />
      </span>
      <p class="alone-title">{title}</p>
      <p>{rings ? "Ringing …" : call.phase === "connecting" ? "Waiting for others …" : ""}</p>
      {call.localCamera && (
        <Tile
          id={me?.id ?? ""}
          name={nameOf(me ?? undefined)}
          words="You"
          stream={call.localCamera}
          muted={!call.sending.has("mic")}
          mirrored
          className="own"
        />
      )}
    </div>
  );
}

/** A shared screen or the other's picture is large; the rest stands beside it. */
function Pictures({ call }: { call: ActiveCall }) {
  const client = useClient();
  const me = client.me;
  const sharer = call.remote.find((one) => one.screen && one.sending.has("screen"));
  const nameFor = (one: RemoteMedia) => nameOf(client.people.user(one.user_id));
  const count = call.remote.length;
  return (
    <div class={`pictures${sharer ? " with-screen" : ""}`} data-count={count}>
      {sharer && (
        <Tile
          id={sharer.user_id}
          name={nameFor(sharer)}
          words={`${nameFor(sharer)}’s screen`}
          stream={sharer.screen}
          muted={false}
          whole
          className="screen"
        />
      )}
      <div class="faces">
        {call.remote.map((one) => (
          <Face key={one.device_id} one={one} name={nameFor(one)} connecting={call.phase === "connecting"} />
        ))}
      </div>
      <Own call={call} id={me?.id ?? ""} name={nameOf(me ?? undefined)} />
    </div>
  );
}

function Face({ one, name, connecting }: { one: RemoteMedia; name: string; connecting: boolean }) {
  const level = useStreamLevel(one.audio);
  return (
    <Tile
      id={one.user_id}
      name={name}
      words={connecting ? `${name}: connecting …` : name}
      stream={one.sending.has("camera") ? one.camera : undefined}
      muted={!connecting && !one.sending.has("mic")}
      level={level}
      className="face"
    />
  );
}

function Own({ call, id, name }: { call: ActiveCall; id: string; name: string }) {
  const [small, setSmall] = useState(false);
  const level = useRef(() => call.level());
  return (
    <div class={`own-corner${small ? " small" : ""}`}>
      <Tile
        id={id}
        name={name}
        words="You"
        stream={call.sending.has("camera") ? call.localCamera : undefined}
        muted={!call.sending.has("mic")}
        level={level.current}
        mirrored
        className="own"
      />
      <button
        type="button"
        class="own-fold"
        aria-label={small ? "Show your own picture" : "Hide your own picture"}
        title={small ? "Show your own picture" : "Hide your own picture"}
        onClick={() => setSmall(!small)}
      >
        <Icon name={small ? "video" : "close"} />
      </button>
    </div>
  );
}
