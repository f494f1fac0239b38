/** The rooms of the user and their counts: what the server said, plus what has happened since. No I/O. */

import type { LogEvent, Room } from "./wire.js";

/** The newest message of a room, for a list. */
export interface Preview {
  seq: number;
  at: number;
  sender_id: string;
  /** null: the message is gone. */
  body: string | null;
}

export class RoomBook {
  private readonly rooms = new Map<string, Room>();
  private readonly previews = new Map<string, Preview>();
  /** Events that came while a sync runs: its answer may be older than they are. */
  private fresh: Map<string, LogEvent[]> | undefined;

  constructor(private readonly me: string) {}

  get(roomId: string): Room | undefined {
    return this.rooms.get(roomId);
  }

  preview(roomId: string): Preview | undefined {
    return this.previews.get(roomId);
  }

  /** The newest activity first. */
  list(): Room[] {
    const at = (room: Room) => Math.max(this.previews.get(room.id)?.at ?? 0, room.created_at);
    return [...this.rooms.values()].sort((a, b) => at(b) - at(a));
  }

  ids(): Set<string> {
    return new Set(this.rooms.keys());
  }

  beginSync(): void {
    this.fresh = new Map();
  }

  endSync(): void {
    this.fresh = undefined;
  }

  /** A room as `sync` answered it: the truth, plus the events that came since the question. */
  synced(room: Room): void {
    this.rooms.set(room.id, { ...room });
    for (const event of this.fresh?.get(room.id) ?? []) this.count(event);
  }

  /** A room as the server told it at some moment: its counts may be behind what was counted here. */
  updated(room: Room): void {
    const known = this.rooms.get(room.id);
    if (!known || known.log_id !== room.log_id || room.head >= known.head) {
      this.rooms.set(room.id, { ...room });
      return;
    }
    const { head, unread, mentions, read_seq, member_count } = known;
    this.rooms.set(room.id, { ...room, head, unread, mentions, read_seq, member_count });
  }

  remove(roomId: string): void {
    this.rooms.delete(roomId);
    this.previews.delete(roomId);
  }

  /** A live event, in the order of its connection. */
  event(event: LogEvent): void {
    if (this.fresh) {
      const known = this.fresh.get(event.room_id) ?? [];
      this.fresh.set(event.room_id, [...known, event]);
    }
    this.count(event);
    this.show(event);
  }

  /** Events that were read from the log: for the preview only. */
  show(event: LogEvent): void {
    const before = this.previews.get(event.room_id);
    const body = event.gone ? null : bodyOf(event.content);
    if (event.type === "message" && event.seq >= (before?.seq ?? 0)) {
      const { seq, at, sender_id } = event;
      this.previews.set(event.room_id, { seq, at, sender_id, body });
    } else if (before && event.target_seq === before.seq) {
      if (event.type === "edit") this.previews.set(event.room_id, { ...before, body });
      if (event.type === "delete") this.previews.set(event.room_id, { ...before, body: null });
    }
  }

  /** One's own mark moved. `counted`: the unread messages after it, if they are known. */
  read(roomId: string, readSeq: number, counted?: { unread: number; mentions: number }): void {
    const room = this.rooms.get(roomId);
    if (!room || readSeq <= room.read_seq) return;
    const none = { unread: 0, mentions: 0 };
    const counts = readSeq >= room.head ? none : (counted ?? { unread: room.unread, mentions: room.mentions });
    this.rooms.set(roomId, { ...room, read_seq: readSeq, ...counts });
  }

  private count(event: LogEvent): void {
    const room = this.rooms.get(event.room_id);
    if (!room || event.log_id !== room.log_id || event.seq <= room.head) return;
    const next = { ...room, head: event.seq, member_count: room.member_count + arrivals(event) };
    if (event.type === "message" && event.thread_seq === undefined) {
      if (event.sender_id === this.me) Object.assign(next, { read_seq: event.seq, unread: 0, mentions: 0 });
      else next.unread += 1;
    }
    if (event.type === "message" && event.sender_id !== this.me && mentionsUser(event, this.me)) {
      next.mentions += 1;
    }
    this.rooms.set(room.id, next);
  }
}

const ARRIVALS: Record<string, number> = { joined: 1, added: 1, left: -1, removed: -1 };

/** By how many the members grow with this event. */
function arrivals(event: LogEvent): number {
  return event.type === "member" ? (ARRIVALS[String(event.content?.["change"])] ?? 0) : 0;
}

export function mentionsUser(event: Pick<LogEvent, "mentions">, userId: string): boolean {
  return event.mentions?.room === true || (event.mentions?.user_ids?.includes(userId) ?? false);
}

/** The text of a content; empty for a content without one, null for one that is gone. */
export function bodyOf(content: object | null): string | null {
  if (content === null) return null;
  const body: unknown = "body" in content ? content.body : undefined;
  return typeof body === "string" ? body : "";
}
