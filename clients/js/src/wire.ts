/**
 * The wire contract as types: sections 1 and 2 of the protocol, field for field.
 *
 * Times are integer milliseconds since the Unix epoch (UTC), `seq` starts at 1 and has no holes. Fields
 * that a newer server adds are simply not named here.
 */

import type { CallClientEvents, CallServerEvents } from "./calls/wire.js";

export interface User {
  id: string;
  username: string;
  display_name: string;
  avatar_file_id?: string;
}

export interface Device {
  id: string;
  name: string;
  platform: string;
}

/** What sign-up, login and refresh answer. */
export interface Session {
  user: User;
  device: Device;
  session_id: string;
  access_token: string;
  refresh_token: string;
  expires_in_s: number;
}

export interface SessionInfo {
  id: string;
  device: Device;
  created_at: number;
  last_used_at: number;
  current: boolean;
}

export interface ServerInfo {
  version: string;
  features: string[];
  limits: Record<string, number>;
  registration: "open" | "invite" | "closed";
  now?: number;
}

export type RoomKind = "direct" | "group" | "broadcast";
export type Visibility = "private" | "public";
export type Role = "owner" | "admin" | "member";

export interface Room {
  id: string;
  kind: RoomKind;
  name?: string;
  topic?: string;
  visibility: Visibility;
  e2ee: boolean;
  history: "all" | "joined";
  role: Role;
  log_id: string;
  head: number;
  first_seq: number;
  read_seq: number;
  unread: number;
  mentions: number;
  member_count: number;
  created_at: number;
  user_ids?: string[];
}

export interface Member {
  user: User;
  role: Role;
  joined_at: number;
  /** How far he has read, where the server tells it: receipts alone begin at one's own connect. */
  read_seq?: number;
  delivered_seq?: number;
}

export interface TextContent {
  type: "text";
  body: string;
  format?: "plain" | "markdown";
}

/** A content type of a feature this client does not know. */
export interface OtherContent {
  type: string;
  [field: string]: unknown;
}

export type Content = TextContent | OtherContent;

export type Gone = "deleted" | "expired" | "erased";

export interface Mentions {
  user_ids?: string[];
  room?: boolean;
}

/** One row of a room's log. */
export interface LogEvent {
  room_id: string;
  log_id: string;
  seq: number;
  id: string;
  at: number;
  type: string;
  sender_id: string;
  device_id: string;
  client_id?: string;
  content: Record<string, unknown> | null;
  target_seq?: number;
  reply_to?: number;
  thread_seq?: number;
  mentions?: Mentions;
  file_ids?: string[];
  expires_at?: number;
  gone?: Gone;
}

export interface EventPage {
  log_id: string;
  head: number;
  first_seq: number;
  events: LogEvent[];
  more: boolean;
}

export type Status = "online" | "away" | "busy" | "invisible" | "offline";

export interface Presence {
  status: Status;
  text?: string;
  last_seen_at?: number;
}

export interface Receipt {
  room_id: string;
  user_id: string;
  delivered_seq: number;
  read_seq: number;
}

export interface WireError {
  code: string;
  text: string;
  field?: string;
  retry_after_s?: number;
  data?: Record<string, unknown>;
}

export type Ack<T> = { ok: true; data: T } | { ok: false; error: WireError };

export interface Stored {
  seq: number;
  id: string;
  at: number;
}

export interface SyncRoom {
  room: Room;
  events: LogEvent[];
  more: boolean;
  reset?: boolean;
  gap?: { after: number; before: number };
}

export interface SyncAnswer {
  rooms: SyncRoom[];
  removed: string[];
  next?: string;
}

export interface SendMessage {
  room_id: string;
  client_id: string;
  content: Content;
  reply_to?: number;
  thread_seq?: number;
  mentions?: Mentions;
  file_ids?: string[];
  expires_in_s?: number;
}

export interface Target {
  room_id: string;
  client_id: string;
  seq: number;
}

/** Events from the client: payload and the `data` of the acknowledgement. */
export interface ClientEvents extends CallClientEvents {
  "message:send": [SendMessage, Stored];
  "message:edit": [Target & { content: Content; mentions?: Mentions }, Stored];
  "message:delete": [Target, Stored];
  "reaction:add": [Target & { emoji: string }, Stored];
  "reaction:remove": [Target & { emoji: string }, Stored];
  "receipt:set": [
    { room_id: string; delivered_seq?: number; read_seq?: number },
    { delivered_seq: number; read_seq: number },
  ];
  "typing:set": [{ room_id: string; typing: boolean }, Record<string, never>];
  "presence:set": [{ status: Status; text?: string }, Record<string, never>];
  "presence:watch": [{ user_ids: string[] }, { presence: Record<string, Presence> }];
  sync: [
    {
      rooms?: Record<string, { log_id: string; seq: number }>;
      changed_only?: boolean;
      after?: string;
      limit?: number;
      from?: "seq" | "tail";
    },
    SyncAnswer,
  ];
}

export type ClientEvent = keyof ClientEvents;

/** Events that go through the outbox: they have a `client_id`, so repeating them is harmless. */
export type Command =
  | "message:send"
  | "message:edit"
  | "message:delete"
  | "reaction:add"
  | "reaction:remove";

/** Events from the server. */
export interface ServerEvents extends CallServerEvents {
  "room:event": LogEvent;
  "room:added": { room: Room };
  "room:removed": { room_id: string; reason: string };
  "room:updated": { room: Room };
  "room:receipt": Receipt;
  "room:typing": { room_id: string; user_id: string; typing: boolean };
  "presence:changed": { user_id: string } & Presence;
  "session:ended": { reason: string };
}

export type ServerEvent = keyof ServerEvents;

export const SERVER_EVENTS: readonly ServerEvent[] = [
  "room:event",
  "room:added",
  "room:removed",
  "room:updated",
  "room:receipt",
  "room:typing",
  "presence:changed",
  "session:ended",
  "call:ringing",
  "call:state",
  "call:signal",
];
