/** Calls as a room shows them: buttons in its head, a banner while one runs, a mark in the list. */

import type { Call, Hubbub, Room } from "@hubbub/client";

import { useClient } from "../client";
import { listNames, nameOf, titleOf } from "../format";
import { Icon, IconButton } from "../parts";
import { useServerNow } from "./clock";
import { useDesk } from "./desk";
import { clockOf, FULL, kindOf } from "./words";

/** Not drawn where nobody could be called: alone with oneself, or a room where one only reads. */
export function CallButtons({ client, room }: { client: Hubbub; room: Room }) {
  const desk = useDesk();
  if (!mayCall(client, room)) return null;
  const running = client.calls.inRoom(room.id);
  if (running && running.state !== "ended") {
    // The banner below says who talks, and why one cannot join.
    return client.calls.hasPlace(running) ? <RunningButton client={client} call={running} /> : null;
  }
  const title = titleOf(client, room);
  return (
    <span class="call-buttons">
      <IconButton icon="phone" label={`Call ${title}`} onClick={() => desk.call(room.id, "audio")} />
      <IconButton icon="video" label={`Video call ${title}`} onClick={() => desk.call(room.id, "video")} />
    </span>
  );
}

function mayCall(client: Hubbub, room: Room): boolean {
  if (room.kind === "direct") return room.user_ids?.some((id) => id !== client.me?.id) ?? false;
  return room.kind !== "broadcast" || room.role !== "member";
}

/** Why this person cannot come into a call that runs; undefined: he can. */
function closedBecause(client: Hubbub, call: Call): string | undefined {
  const room = client.room(call.room_id);
  if (room && !mayCall(client, room)) return "Only the owner and the admins call here.";
  return client.calls.hasPlace(call) ? undefined : FULL;
}

function RunningButton({ client, call }: { client: Hubbub; call: Call }) {
  const desk = useDesk();
  const here = client.calls.current?.id === call.id && client.calls.current.phase !== "ended";
  return (
    <button
      type="button"
      class="call-join"
      onClick={() => (here ? desk.expand(true) : desk.answer(call.id, joinOf(client, call)))}
    >
      <Icon name={call.media === "video" ? "video" : "phone"} />
      {here ? "To the call" : elsewhere(client, call) ? "Move here" : "Join"}
    </button>
  );
}

/** Where else I am in this call: with another device, or in another tab of this one. */
function elsewhere(client: Hubbub, call: Call): "device" | "tab" | undefined {
  const mine = call.participants.filter(({ user_id }) => user_id === client.me?.id);
  if (mine.length === 0) return undefined;
  return mine.some(({ device_id }) => device_id === client.session?.device.id) ? "tab" : "device";
}

function joinOf(client: Hubbub, call: Call) {
  return { cameraOff: call.media === "audio", takeOver: elsewhere(client, call) === "device" };
}

/** Above the messages while a call runs here that this device is not in. */
export function CallBanner({ roomId }: { roomId: string }) {
  const client = useClient();
  const desk = useDesk();
  const call = client.calls.inRoom(roomId);
  const now = useServerNow(client, call !== undefined);
  const { current, ringing } = client.calls;
  const here = current?.id === call?.id && current?.phase !== "ended";
  if (!call || here || call.state === "ended" || ringing.some((one) => one.call.id === call.id)) return null;
  const mine = elsewhere(client, call);
  const closed = closedBecause(client, call);
  const names = [...new Set(call.participants.map(({ user_id }) => user_id))].map((id) =>
    id === client.me?.id ? "you" : nameOf(client.people.user(id)),
  );
  return (
    <div class="call-banner" role="status">
      <Icon name={call.media === "video" ? "video" : "phone"} />
      <span>
        {mine
          ? `You are in this call ${mine === "tab" ? "in another tab" : "with another device"}`
          : `A ${kindOf(call.media)} runs here${names.length > 0 ? `, with ${listNames(names)}` : ""}`}
        <span class="hint"> · {clockOf(now - call.started_at)}</span>
        {closed && <span class="hint call-closed">{closed}</span>}
      </span>
      {!closed && (
        <button type="button" class="primary" onClick={() => desk.answer(call.id, joinOf(client, call))}>
          {mine ? `Move it to this ${mine}` : "Join"}
        </button>
      )}
    </div>
  );
}

/** In the list of rooms. */
export function CallMark({ client, roomId }: { client: Hubbub; roomId: string }) {
  const call = client.calls.inRoom(roomId);
  if (!call || call.state === "ended") return null;
  return (
    <span class="call-mark" title="A call runs here">
      <Icon name={call.media === "video" ? "video" : "phone"} />
      <span class="hidden-words">A call runs here</span>
    </span>
  );
}

/** The head of the browser's tab while it rings or one talks; undefined: as always. */
export function callTitle(client: Hubbub): string | undefined {
  const ringing = client.calls.ringing.at(-1);
  const { current } = client.calls;
  if (ringing) return `📞 ${nameOf(client.people.user(ringing.call.started_by))} calls – Hubbub`;
  if (!current || current.phase === "ended") return undefined;
  const room = client.room(current.roomId);
  return room && `📞 ${titleOf(client, room)} – Hubbub`;
}
