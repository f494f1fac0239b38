/**
 * What a log means: messages with their edits, deletes and reactions, and lines about members and settings.
 *
 * A pure fold: the same events give the same items, whenever they came. A window that reaches the head is
 * enough, because what changes a message always comes after it.
 */

import type { Content, Gone, LogEvent, Mentions } from "./wire.js";

export interface Reaction {
  emoji: string;
  count: number;
  mine: boolean;
  user_ids: string[];
}

/** A message as it is now. Objects are replaced, never changed: compare by identity. */
export interface Message {
  kind: "message";
  seq: number;
  id: string;
  at: number;
  sender_id: string;
  client_id?: string;
  /** null when the content is gone. */
  content: Content | null;
  edited_seq?: number;
  gone?: Gone;
  reactions: Reaction[];
  reply_to?: number;
  thread_seq?: number;
  thread?: { count: number; last_seq: number };
  mentions?: Mentions;
  file_ids?: string[];
  expires_at?: number;
}

/** A line of the log that is no message: who came, who left, what was set. */
export interface Notice {
  kind: "notice";
  seq: number;
  id: string;
  at: number;
  sender_id: string;
  type: string;
  content: Record<string, unknown> | null;
}

export type Item = Message | Notice;

export class Fold {
  private readonly bySeq = new Map<number, Item>();

  constructor(private readonly me: string) {}

  /** Ascending by seq. Messages of threads are included; they carry `thread_seq`. */
  get items(): Item[] {
    return [...this.bySeq.values()];
  }

  get(seq: number): Item | undefined {
    return this.bySeq.get(seq);
  }

  message(seq: number): Message | undefined {
    const item = this.bySeq.get(seq);
    return item?.kind === "message" ? item : undefined;
  }

  /** Forget everything and read these events. */
  restart(events: readonly LogEvent[]): void {
    this.bySeq.clear();
    for (const event of events) this.apply(event);
  }

  apply(event: LogEvent): void {
    switch (event.type) {
      case "message":
        this.addMessage(event);
        break;
      case "edit":
        this.edit(event);
        break;
      case "delete":
        this.blank(event.target_seq, "deleted");
        break;
      case "reaction":
        this.react(event);
        break;
      default:
        this.addNotice(event);
    }
  }

  /** Blank what has expired. Returns when the next message does, or undefined. */
  expire(now: number): number | undefined {
    let next: number | undefined;
    for (const item of this.bySeq.values()) {
      if (item.kind !== "message" || item.expires_at === undefined || item.gone) continue;
      if (item.expires_at <= now) this.blank(item.seq, "expired");
      else next = Math.min(next ?? Infinity, item.expires_at);
    }
    return next;
  }

  private addMessage(event: LogEvent): void {
    const message: Message = {
      kind: "message",
      seq: event.seq,
      id: event.id,
      at: event.at,
      sender_id: event.sender_id,
      content: event.gone ? null : (event.content as Content | null),
      reactions: [],
    };
    for (const field of OPTIONAL) {
      if (event[field] !== undefined) Object.assign(message, { [field]: event[field] });
    }
    this.bySeq.set(event.seq, message);
    const root = event.thread_seq === undefined ? undefined : this.message(event.thread_seq);
    if (root) {
      const thread = { count: (root.thread?.count ?? 0) + 1, last_seq: event.seq };
      this.bySeq.set(root.seq, { ...root, thread });
    }
  }

  private edit(event: LogEvent): void {
    const target = this.message(event.target_seq ?? 0);
    if (!target || target.gone || event.content === null) return;
    this.bySeq.set(target.seq, {
      ...target,
      content: event.content as Content,
      edited_seq: event.seq,
      ...(event.mentions ? { mentions: event.mentions } : {}),
    });
  }

  private blank(seq: number | undefined, gone: Gone): void {
    const target = this.message(seq ?? 0);
    if (!target || target.gone) return;
    this.bySeq.set(target.seq, { ...target, content: null, gone, reactions: [] });
  }

  private react(event: LogEvent): void {
    const target = this.message(event.target_seq ?? 0);
    const emoji = event.content?.["emoji"];
    if (!target || target.gone || typeof emoji !== "string") return;
    const add = event.content?.["op"] === "add";
    this.bySeq.set(target.seq, {
      ...target,
      reactions: withReaction(target.reactions, { emoji, add, by: event.sender_id, me: this.me }),
    });
  }

  private addNotice(event: LogEvent): void {
    const { seq, id, at, sender_id, type, content } = event;
    this.bySeq.set(seq, { kind: "notice", seq, id, at, sender_id, type, content });
  }
}

const OPTIONAL = [
  "client_id",
  "gone",
  "reply_to",
  "thread_seq",
  "mentions",
  "file_ids",
  "expires_at",
] as const;

/** The reactions after one more, or one less: in the order in which each emoji was first used. */
export function withReaction(
  reactions: readonly Reaction[],
  change: { emoji: string; add: boolean; by: string; me: string },
): Reaction[] {
  const before = reactions.find((reaction) => reaction.emoji === change.emoji);
  const others = (before?.user_ids ?? []).filter((user) => user !== change.by);
  const user_ids = change.add ? [...others, change.by] : others;
  const after: Reaction = {
    emoji: change.emoji,
    count: user_ids.length,
    mine: user_ids.includes(change.me),
    user_ids,
  };
  const all = before
    ? reactions.map((reaction) => (reaction === before ? after : reaction))
    : [...reactions, after];
  return all.filter((reaction) => reaction.count > 0);
}
