/** A small server in memory that keeps the contract: a log for each room, exactly once, sync, receipts. */

import type { FakeSwitchboard } from "./fake_calls.js";
import type { TransportListener, Transport } from "../src/transport.js";
import { errorFrom, Offline } from "../src/errors.js";
import type {
  ClientEvent,
  ClientEvents,
  LogEvent,
  Room,
  SendMessage,
  ServerEvents,
  Session,
  SyncAnswer,
  WireError,
} from "../src/wire.js";

const TYPES: Record<string, string> = {
  "message:send": "message",
  "message:edit": "edit",
  "message:delete": "delete",
  "reaction:add": "reaction",
  "reaction:remove": "reaction",
};

export class FakeServer {
  /** Where calls are wanted. */
  calls: FakeSwitchboard | undefined;
  features = ["calls", "call_quality"];
  /** Reports on calls arrive, but are not answered. */
  reportsHang = false;
  readonly log: LogEvent[] = [];
  readonly links = new Set<FakeTransport>();
  readonly asked: string[] = [];
  /** A session is ended: what its device hears before the answer. */
  onEnd: (() => void) | undefined;
  logId = "log-1";
  now = 1_700_000_000_000;
  /** Refuse the next commands with these, one each. */
  refusals: WireError[] = [];

  session(userId: string, deviceId = `d-${userId}`): Session {
    return {
      user: { id: userId, username: userId, display_name: userId.toUpperCase() },
      device: { id: deviceId, name: "test", platform: "node" },
      session_id: `s-${userId}`,
      access_token: `a-${userId}`,
      refresh_token: `r-${userId}`,
      expires_in_s: 900,
    };
  }

  room(userId: string): Room {
    const others = this.log.filter((event) => event.type === "message" && event.sender_id !== userId);
    return {
      id: "garden",
      kind: "group",
      name: "Garden",
      visibility: "private",
      e2ee: false,
      history: "all",
      role: "member",
      log_id: this.logId,
      head: this.log.length,
      first_seq: 1,
      read_seq: 0,
      unread: others.length,
      mentions: 0,
      member_count: 2,
      created_at: this.now,
    };
  }

  /** Append as `userId`, and tell everybody who is connected. */
  append(userId: string, fields: Partial<LogEvent> = {}): LogEvent {
    const seq = this.log.length + 1;
    const event: LogEvent = {
      room_id: "garden",
      log_id: this.logId,
      seq,
      id: `e-${seq}`,
      at: this.now + seq,
      type: "message",
      sender_id: userId,
      device_id: `d-${userId}`,
      content: { type: "text", body: `text ${seq}` },
      ...fields,
    };
    this.log.push(event);
    for (const link of this.links) link.deliver("room:event", visible(event, link.userId));
    return event;
  }

  command(userId: string, name: string, payload: SendMessage & { seq?: number; emoji?: string }) {
    this.asked.push(`${name} ${payload.client_id}`);
    const refusal = this.refusals.shift();
    if (refusal) throw errorFrom(refusal);
    const known = this.log.find((event) => event.client_id === payload.client_id);
    const { client_id, content, seq, emoji, reply_to, thread_seq } = payload;
    const op = name === "reaction:add" ? "add" : "remove";
    const event =
      known ??
      this.append(userId, {
        type: TYPES[name]!,
        client_id,
        content: emoji ? { emoji, op } : ((content ?? {}) as Record<string, unknown>),
        ...(seq === undefined ? {} : { target_seq: seq }),
        ...(reply_to === undefined ? {} : { reply_to }),
        ...(thread_seq === undefined ? {} : { thread_seq }),
      });
    return { seq: event.seq, id: event.id, at: event.at };
  }

  sync(userId: string, ask: ClientEvents["sync"][0]): SyncAnswer {
    const named = ask.rooms?.["garden"];
    const room = this.room(userId);
    const limit = ask.limit ?? 100;
    if (!named) return { rooms: [{ room, events: [], more: false }], removed: [] };
    const mine = this.log.map((event) => visible(event, userId));
    if (named.log_id !== this.logId || named.seq > room.head) {
      const events = mine.slice(-limit);
      const gap = { after: 0, before: events[0]?.seq ?? 1 };
      return { rooms: [{ room, events, more: false, reset: true, gap }], removed: [] };
    }
    const events = mine.slice(named.seq, named.seq + limit);
    return { rooms: [{ room, events, more: named.seq + limit < room.head }], removed: [] };
  }

  /** The HTTP half, as far as the client needs it. */
  fetch = async (input: unknown, init?: RequestInit): Promise<Response> => {
    const url = new URL(String(input), "http://fake");
    const token = new Headers(init?.headers).get("authorization")?.slice("Bearer a-".length) ?? "";
    this.asked.push(`${init?.method ?? "GET"} ${url.pathname}`);
    if (url.pathname === "/api/v1/sessions/current") {
      this.onEnd?.();
      return new Response(null, { status: 204 });
    }
    if (url.pathname === "/api/v1/sessions") {
      const { username, device_id } = JSON.parse(String(init?.body)) as { username: string; device_id?: string };
      return Response.json(this.session(username, device_id), { status: 201 });
    }
    if (url.pathname === "/api/v1/server") {
      return Response.json({ now: this.now, features: this.calls ? this.features : [] });
    }
    if (this.calls && url.pathname.endsWith("/quality")) {
      const body = JSON.parse(String(init?.body)) as Record<string, unknown>;
      this.calls.reports.push({ by: token, path: url.pathname, body });
      if (this.reportsHang) return new Promise<never>(() => undefined);
      return Response.json({});
    }
    if (url.pathname.endsWith("/events")) return Response.json(this.page(url.searchParams, token));
    return Response.json({ code: "not_found", detail: "Not here." }, { status: 404 });
  };

  private page(query: URLSearchParams, userId: string) {
    const limit = Number(query.get("limit") ?? 50);
    const after = query.get("after");
    const before = Number(query.get("before") ?? this.log.length + 1);
    const from = after === null ? Math.max(0, before - 1 - limit) : Number(after);
    const to = after === null ? before - 1 : Math.min(this.log.length, from + limit);
    const events = this.log.slice(from, to).map((event) => visible(event, userId));
    const more = after === null ? from > 0 : to < this.log.length;
    return { log_id: this.logId, head: this.log.length, first_seq: 1, events, more };
  }
}

function visible(event: LogEvent, userId: string): LogEvent {
  if (event.sender_id === userId) return event;
  const { client_id: _hidden, ...rest } = event;
  return rest;
}

/** A line to the fake server that can be cut, and that can lose acknowledgements or events. */
export class FakeTransport implements Transport {
  connected = false;
  /** Carry out commands but lose their acknowledgements. */
  loseAcks = false;
  /** Lose live events. */
  loseEvents = false;
  private listener: TransportListener | undefined;

  constructor(
    readonly server: FakeServer,
    readonly userId: string,
    readonly deviceId = `d-${userId}`,
  ) {}

  open(listener: TransportListener): void {
    this.listener = listener;
    this.plug();
  }

  plug(): void {
    this.connected = true;
    this.server.links.add(this);
    this.listener?.connected();
    this.server.calls?.opened(this);
  }

  cut(): void {
    this.connected = false;
    this.server.links.delete(this);
    this.server.calls?.closed(this);
    this.listener?.disconnected("lost");
  }

  retries = 0;

  retry(): void {
    this.retries += 1;
  }

  drop(): void {
    this.cut();
  }

  deliver<Name extends keyof ServerEvents>(name: Name, payload: ServerEvents[Name]): void {
    if (this.connected && !this.loseEvents) this.listener?.received(name, payload);
  }

  async request<Name extends ClientEvent>(
    name: Name,
    payload: ClientEvents[Name][0],
  ): Promise<ClientEvents[Name][1]> {
    if (!this.connected) throw new Offline();
    const answer = this.answer(name, payload);
    await Promise.resolve();
    if (this.loseAcks || !this.connected) throw new Offline();
    return answer as ClientEvents[Name][1];
  }

  close(): void {
    this.connected = false;
    this.server.links.delete(this);
    this.server.calls?.closed(this);
    this.listener = undefined;
  }

  private answer(name: ClientEvent, payload: unknown): unknown {
    if (name === "sync") return this.server.sync(this.userId, payload as ClientEvents["sync"][0]);
    if (name.startsWith("call:") && this.server.calls) {
      return this.server.calls.request(this, name, payload as Record<string, unknown>);
    }
    if (name in TYPES) return this.server.command(this.userId, name, payload as SendMessage);
    if (name === "receipt:set") return { delivered_seq: 0, read_seq: 0, ...(payload as object) };
    if (name === "presence:watch") return { presence: {} };
    return {};
  }
}
