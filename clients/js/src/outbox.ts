/**
 * Commands that are not yet acknowledged: kept with their `client_id`, sent one at a time in each room, in
 * the order in which they were made, again after every reconnect. No I/O: it says what to send next.
 */

import type { ClientEvents, Command, Stored } from "./wire.js";
import type { HubbubError } from "./errors.js";

export interface Entry {
  client_id: string;
  room_id: string;
  event: Command;
  payload: ClientEvents[Command][0];
  /** By the server's clock, as far as it was known. */
  created_at: number;
  /** Grows with every command of this user on this machine: the order of sending. */
  order: number;
  /** Set when the server refused it for good: it waits for a retry or for being discarded. */
  error?: { code: string; text: string };
}

/** What to do after a refusal. */
export type AfterRefusal =
  | { kind: "retry"; afterMs: number }
  | { kind: "renew" }
  | { kind: "failed" };

const BACKOFF_MS = [500, 1_000, 2_000, 5_000, 10_000];

export class OutboxQueue {
  private readonly rooms = new Map<string, Entry[]>();
  private readonly sending = new Set<string>();
  private readonly resting = new Map<string, number>();
  private readonly attempts = new Map<string, number>();

  constructor(entries: readonly Entry[] = []) {
    for (const entry of [...entries].sort((a, b) => a.order - b.order)) this.add(entry);
  }

  get size(): number {
    return this.all().length;
  }

  all(): Entry[] {
    return [...this.rooms.values()].flat();
  }

  get lastOrder(): number {
    return this.all().reduce((last, entry) => Math.max(last, entry.order), 0);
  }

  /** Unacknowledged commands of a room, in order; failed ones included. */
  of(roomId: string): readonly Entry[] {
    return this.rooms.get(roomId) ?? [];
  }

  get(clientId: string): Entry | undefined {
    return this.all().find((entry) => entry.client_id === clientId);
  }

  add(entry: Entry): void {
    const entries = this.rooms.get(entry.room_id) ?? [];
    if (entries.some((known) => known.client_id === entry.client_id)) return;
    this.rooms.set(entry.room_id, [...entries, entry]);
  }

  /** The next command of each room that may go out now. They count as being sent from here on. */
  take(now: number): Entry[] {
    const ready: Entry[] = [];
    for (const [roomId, entries] of this.rooms) {
      const next = entries.find((entry) => !entry.error);
      if (!next || this.sending.has(roomId) || (this.resting.get(roomId) ?? 0) > now) continue;
      this.sending.add(roomId);
      ready.push(next);
    }
    return ready;
  }

  /** The command is in the log (or withdrawn): forget it. */
  done(clientId: string): Entry | undefined {
    const entry = this.get(clientId);
    if (!entry) return undefined;
    this.replace(entry.room_id, (entries) => entries.filter((known) => known !== entry));
    this.release(entry);
    this.attempts.delete(clientId);
    return entry;
  }

  /**
   * The server refused. `renew`: the id was not used, the command needs a fresh one (then `renewed`).
   * `failed`: the entry now carries the error, later ones go on.
   */
  refused(clientId: string, error: HubbubError, now: number): AfterRefusal {
    const entry = this.get(clientId);
    if (!entry) return { kind: "failed" };
    const tries = (this.attempts.get(clientId) ?? 0) + 1;
    this.attempts.set(clientId, tries);
    this.release(entry);
    if (error.transient) {
      const backoff = BACKOFF_MS[Math.min(tries, BACKOFF_MS.length) - 1]!;
      const afterMs = error.retryAfterS === undefined ? backoff : error.retryAfterS * 1_000;
      this.resting.set(entry.room_id, now + afterMs);
      return { kind: "retry", afterMs };
    }
    if (error.code === "invalid" && error.field === "client_id" && tries === 1) return { kind: "renew" };
    const failed = { ...entry, error: { code: error.code, text: error.message } };
    this.replace(entry.room_id, (entries) => entries.map((known) => (known === entry ? failed : known)));
    return { kind: "failed" };
  }

  /** The same command under another id, at the same place. */
  renewed(clientId: string, nextId: string): Entry | undefined {
    const entry = this.get(clientId);
    if (!entry) return undefined;
    const next: Entry = { ...entry, client_id: nextId, payload: { ...entry.payload, client_id: nextId } };
    delete next.error;
    this.replace(entry.room_id, (entries) => entries.map((known) => (known === entry ? next : known)));
    this.attempts.set(nextId, this.attempts.get(clientId) ?? 0);
    this.attempts.delete(clientId);
    return next;
  }

  /** The connection is gone: everything unacknowledged goes out again, in order. */
  disconnected(): void {
    this.sending.clear();
    this.resting.clear();
  }

  private release(entry: Entry): void {
    this.sending.delete(entry.room_id);
  }

  private replace(roomId: string, change: (entries: Entry[]) => Entry[]): void {
    const entries = change([...this.of(roomId)]);
    if (entries.length === 0) this.rooms.delete(roomId);
    else this.rooms.set(roomId, entries);
  }
}

/** A command that was acknowledged and whose event has not come in order yet. */
export interface Acknowledged extends Entry {
  stored: Stored;
}
