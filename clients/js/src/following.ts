/**
 * The rooms that a client follows: their counts, the logs of the open ones, others' marks, and the sync that
 * closes the gap after each connect.
 */

import type { Api } from "./api.js";
import type { Clock, ServerClock } from "./clock.js";
import { OpenRoom } from "./open_room.js";
import type { Acknowledged } from "./outbox.js";
import { grown, type Marks } from "./receipts.js";
import { mentionsUser, RoomBook } from "./rooms.js";
import type { Transport } from "./transport.js";
import type { LogEvent, Member, Receipt, Room } from "./wire.js";

const SYNC_LIMIT = 200;
/** Expiry is looked at again at least so often: timers of many days are not to be trusted. */
const LONGEST_TIMER_MS = 3_600_000;

export interface FollowingListener {
  /** An event of an open room in strict order, each once; of another room as it comes. */
  event(event: LogEvent): void;
  /** An event of one's own is in the log. */
  stored(clientId: string): void;
  /** Others' messages up to here have reached this client. */
  delivered(roomId: string, seq: number): void;
  /** The server's word on one's own read mark. */
  ownMark(roomId: string, readSeq: number): void;
  removed(roomId: string): void;
  changed(): void;
}

export class Following {
  readonly book: RoomBook;
  private readonly open = new Map<string, OpenRoom>();
  private readonly marks = new Map<string, Map<string, Marks>>();
  private expiryTimer: unknown;
  /** Number of the sync under way; 0: none. */
  private syncing = 0;
  private syncs = 0;

  constructor(
    private readonly me: string,
    private readonly parts: { api: Api; transport: Transport; clock: Clock; serverClock: ServerClock },
    private readonly listener: FollowingListener,
  ) {
    this.book = new RoomBook(me);
  }

  get(roomId: string): OpenRoom | undefined {
    return this.open.get(roomId);
  }

  marksIn(roomId: string): ReadonlyMap<string, Marks> {
    return this.marks.get(roomId) ?? new Map();
  }

  /** Fetch the newest events of a room and keep it complete from then on. */
  async follow(roomId: string): Promise<void> {
    const room = this.book.get(roomId);
    if (!room || this.open.has(roomId)) return;
    const opened = new OpenRoom(roomId, { me: this.me, logId: room.log_id }, this.parts.api, {
      events: (events) => this.logged(events, true),
      restarted: (events) => this.logged(events, false),
    });
    this.open.set(roomId, opened);
    try {
      await opened.load();
    } catch (refusal) {
      if (opened.opening) this.open.delete(roomId);
      throw refusal;
    } finally {
      this.listener.changed();
    }
  }

  acknowledged(entry: Acknowledged): void {
    const room = this.open.get(entry.room_id);
    if (room && entry.stored.seq > room.timeline.high) room.acknowledged = [...room.acknowledged, entry];
  }

  live(event: LogEvent): void {
    this.book.event(event);
    if (event.type === "message" && event.sender_id !== this.me) {
      this.listener.delivered(event.room_id, event.seq);
    }
    const room = this.open.get(event.room_id);
    if (room) room.live(event, this.syncing > 0);
    else this.logged([event], true);
  }

  receipt({ room_id, user_id, delivered_seq, read_seq }: Receipt): void {
    if (user_id === this.me) this.book.read(room_id, read_seq, this.unreadAfter(room_id, read_seq));
    else this.mark(room_id, user_id, { delivered_seq: Math.max(delivered_seq, read_seq), read_seq });
  }

  /** Members as an HTTP call answered them. */
  marksOf(roomId: string, members: readonly Member[]): void {
    for (const { user, read_seq = 0, delivered_seq = read_seq } of members) {
      if (delivered_seq > 0) this.mark(roomId, user.id, { read_seq, delivered_seq });
    }
  }

  /**
   * Get everything that was missed.
   *
   * @param current false once the line it was asked on is gone: its answers are not used then.
   */
  async sync(current: () => boolean): Promise<void> {
    const missing = this.book.ids();
    const rooms = this.positions();
    const behind: OpenRoom[] = [];
    this.book.beginSync();
    const mine = (this.syncs += 1);
    this.syncing = mine;
    try {
      for (let after: string | undefined; ; ) {
        const ask = { rooms, limit: SYNC_LIMIT, ...(after === undefined ? {} : { after }) };
        const answer = await this.parts.transport.request("sync", ask);
        if (!current()) return;
        for (const item of answer.rooms) {
          missing.delete(item.room.id);
          this.synced(item.room);
          const room = this.open.get(item.room.id);
          if (room?.synced(item)) behind.push(room);
        }
        for (const id of answer.removed) missing.add(id);
        if (answer.next === undefined) break;
        after = answer.next;
      }
    } finally {
      // A later connect may have begun another one meanwhile: that one ends by itself.
      if (this.syncing === mine) {
        this.syncing = 0;
        this.book.endSync();
      }
    }
    for (const id of missing) this.forget(id);
    for (const room of behind) await room.repair();
    for (const room of this.open.values()) if (room.timeline.hasGap) await room.repair();
  }

  forget(roomId: string): void {
    this.open.delete(roomId);
    this.marks.delete(roomId);
    this.book.remove(roomId);
    this.listener.removed(roomId);
  }

  close(): void {
    this.open.clear();
    this.parts.clock.clearTimeout(this.expiryTimer);
  }

  private positions(): Record<string, { log_id: string; seq: number }> {
    const opened = [...this.open.values()].filter((room) => !room.opening);
    return Object.fromEntries(
      opened.map(({ id, timeline }) => [id, { log_id: timeline.logId, seq: timeline.high }]),
    );
  }

  private synced(room: Room): void {
    this.book.synced(room);
    this.listener.ownMark(room.id, room.read_seq);
    if (room.unread > 0) this.listener.delivered(room.id, room.head);
  }

  /** Events that were applied in order: what follows from them outside of the room's own window. */
  private logged(events: readonly LogEvent[], news: boolean): void {
    for (const event of events) {
      const { room_id, sender_id, client_id, seq } = event;
      if (sender_id === this.me && client_id) this.listener.stored(client_id);
      if (event.type === "message") this.mark(room_id, sender_id, { read_seq: seq, delivered_seq: seq });
      this.book.show(event);
      if (news) this.listener.event(event);
    }
    this.planExpiry();
    this.listener.changed();
  }

  private planExpiry(): void {
    const { clock, serverClock } = this.parts;
    const now = serverClock.now();
    let next = Infinity;
    for (const room of this.open.values()) next = Math.min(next, room.fold.expire(now) ?? Infinity);
    clock.clearTimeout(this.expiryTimer);
    if (next === Infinity) return;
    this.expiryTimer = clock.setTimeout(
      () => {
        this.planExpiry();
        this.listener.changed();
      },
      Math.min(next - now, LONGEST_TIMER_MS),
    );
  }

  private mark(roomId: string, userId: string, marks: Partial<Marks>): void {
    const room = this.marks.get(roomId) ?? new Map<string, Marks>();
    this.marks.set(roomId, room);
    room.set(userId, grown(room.get(userId) ?? { delivered_seq: 0, read_seq: 0 }, marks));
  }

  private unreadAfter(roomId: string, seq: number): { unread: number; mentions: number } | undefined {
    const room = this.open.get(roomId);
    if (!room || room.opening || room.timeline.low > seq + 1) return undefined;
    const unread = room.timeline.events.filter(
      (event) => event.seq > seq && event.type === "message" && event.sender_id !== this.me,
    );
    return {
      unread: unread.filter((event) => event.thread_seq === undefined).length,
      mentions: unread.filter((event) => mentionsUser(event, this.me)).length,
    };
  }
}
