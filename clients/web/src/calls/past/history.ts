/**
 * The calls of all rooms, from their logs.
 *
 * Complete are: every call that ends while the page is open, and of each room everything after what this person has
 * read (at most 200 events a room), so that no missed call hides. Further back it reads page by page, when asked.
 */

import { useEffect, useReducer } from "preact/hooks";

import type { Hubbub, LogEvent, Room } from "@hubbub/client";

import { recordOf, wasMissed, type CallRecord } from "../words";

/** Rooms looked at, the newest activity first, and events of each at a time. */
const MAX_ROOMS = 30;
const PAGE = 100;
const UNREAD_PAGE = 200;
const MAX_RECORDS = 1_000;

/** How far a room's log was read back: the seq before which nothing was seen. */
type Reach = Map<string, number>;

export class CallHistory {
  private readonly records = new Map<string, CallRecord>();
  private sorted: readonly CallRecord[] | undefined;
  private readonly reach: Reach = new Map();
  private readonly listeners = new Set<() => void>();
  private readonly caughtUp = new Map<string, number>();
  private readonly following: (() => void)[];
  loading = false;

  constructor(private readonly client: Hubbub) {
    this.following = [
      client.on("event", (event) => this.take([event])),
      client.on("connection", (state) => state === "online" && void this.catchUp().catch(() => undefined)),
    ];
    if (client.connection === "online") void this.catchUp().catch(() => undefined);
  }

  /** The newest first. */
  get list(): readonly CallRecord[] {
    this.sorted ??= [...this.records.values()].sort((a, b) => b.at - a.at);
    return this.sorted;
  }

  newestIn(roomId: string): CallRecord | undefined {
    return this.list.find((record) => record.roomId === roomId);
  }

  /** Missed and neither read in the room nor seen in the list. */
  isNew(record: CallRecord): boolean {
    const read = this.client.room(record.roomId)?.read_seq ?? Infinity;
    return wasMissed(record, this.client.me?.id) && record.seq > read && record.at > this.seenAt;
  }

  get newCount(): number {
    return this.list.filter((record) => this.isNew(record)).length;
  }

  /** The list was looked at: what it shows is news no more. */
  seen(): void {
    const newest = this.list[0]?.at ?? 0;
    if (newest <= this.seenAt) return;
    try {
      localStorage.setItem(this.key, String(newest));
    } catch {
      // Then it counts until the rooms are read.
    }
    this.told();
  }

  get mayReachFurther(): boolean {
    return this.rooms().some((room) => this.nextBefore(room) > room.first_seq);
  }

  /** One more page of each room. */
  async further(): Promise<void> {
    if (this.loading) return;
    this.loading = true;
    this.told();
    try {
      for (const room of this.rooms()) {
        const before = this.nextBefore(room);
        if (before <= room.first_seq) continue;
        const page = await this.client.api.events(room.id, { before, limit: PAGE });
        this.reach.set(room.id, page.events[0]?.seq ?? room.first_seq);
        this.take(page.events);
      }
    } finally {
      this.loading = false;
      this.told();
    }
  }

  /** Another person has logged in. */
  close(): void {
    for (const stop of this.following) stop();
  }

  listen(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  /** What came while this page was away. */
  private async catchUp(): Promise<void> {
    for (const room of this.rooms()) {
      const after = Math.max(room.read_seq, this.caughtUp.get(room.id) ?? 0, room.head - UNREAD_PAGE);
      if (after >= room.head) continue;
      const page = await this.client.api.events(room.id, { after, limit: UNREAD_PAGE });
      this.caughtUp.set(room.id, page.events.at(-1)?.seq ?? room.head);
      this.take(page.events);
    }
  }

  private rooms(): Room[] {
    return this.client.rooms().slice(0, MAX_ROOMS);
  }

  private nextBefore(room: Room): number {
    return this.reach.get(room.id) ?? room.head + 1;
  }

  private take(events: readonly LogEvent[]): void {
    const fresh = events.flatMap((event) => recordOf(event, event.room_id) ?? []);
    for (const record of fresh) this.records.set(record.callId, record);
    if (fresh.length > 0) this.sorted = undefined;
    if (this.records.size > MAX_RECORDS) {
      for (const record of this.list.slice(MAX_RECORDS)) this.records.delete(record.callId);
      this.sorted = undefined;
    }
    if (fresh.length > 0) this.told();
  }

  private told(): void {
    for (const listener of this.listeners) listener();
  }

  private get key(): string {
    return `hubbub.calls-seen.${this.client.me?.id ?? ""}`;
  }

  private get seenAt(): number {
    try {
      return Number(localStorage.getItem(this.key) ?? 0);
    } catch {
      return 0;
    }
  }
}

/** Of one login: another person in this page begins anew. */
const histories = new WeakMap<Hubbub, { userId: string | undefined; history: CallHistory }>();

export function useCallHistory(client: Hubbub): CallHistory {
  const [, draw] = useReducer((count: number) => count + 1, 0);
  const userId = client.me?.id;
  let known = histories.get(client);
  if (!known || known.userId !== userId) {
    known?.history.close();
    known = { userId, history: new CallHistory(client) };
    histories.set(client, known);
  }
  const { history } = known;
  useEffect(() => history.listen(() => draw(undefined)), [history]);
  return history;
}
