/** What a client is made with, what it tells, and how a message is sent. */

import type { CallOptions } from "./calls/wiring.js";
import type { Clock } from "./clock.js";
import type { Entry } from "./outbox.js";
import type { OutboxStore } from "./outbox_store.js";
import type { SessionStore } from "./session.js";
import type { Transport } from "./transport.js";
import type { LogEvent, Mentions } from "./wire.js";

/**
 * `closed`: not started or logged out. `connecting`: no line. `syncing`: line up, catching up.
 * `online`: everything missed is here.
 */
export type Connection = "closed" | "connecting" | "syncing" | "online";

export interface HubbubEvents {
  /** Something that can be read from the client has changed. Comes often: merge. */
  change: void;
  connection: Connection;
  /** An event of an open room, in strict order, each once; of another room, as it comes. */
  event: LogEvent;
  /** The session is over (`revoked`, `reused`, `password_changed`, `logged_out`, `expired`). */
  ended: { reason: string };
  /** A command was refused for good. It stays in the room's items until retried or discarded. */
  failed: Entry;
}

export interface Options {
  /** Where the server is, such as `https://chat.example`; in a page the empty string is its own origin. */
  url?: string;
  sessions?: SessionStore;
  outbox?: OutboxStore;
  transport?: Transport;
  fetch?: typeof globalThis.fetch;
  clock?: Clock;
  calls?: CallOptions;
}

export interface SendOptions {
  reply_to?: number;
  thread_seq?: number;
  mentions?: Mentions;
  expires_in_s?: number;
}
