/** What a person sees of a room: the folded log, with his own unacknowledged commands laid over it. Pure. */

import { withReaction, type Item, type Message } from "./fold.js";
import type { Acknowledged, Entry } from "./outbox.js";
import type { Marks } from "./receipts.js";
import type { ClientEvents, Content, SendMessage } from "./wire.js";

/**
 * How far a message of one's own has come. `waiting`: not acknowledged. `sent`: durable on the server.
 * `delivered` and `read`: by every other member. `none`: somebody else's.
 */
export type Progress = "none" | "waiting" | "failed" | "sent" | "delivered" | "read";

export interface ViewItem {
  /** Stays the same when a waiting message becomes a stored one. */
  key: string;
  /** `seq` is 0 while the message waits. */
  item: Item;
  progress: Progress;
  /** The refusal, when `progress` is `failed`. */
  error?: string;
}

export interface Overlay {
  me: string;
  waiting: readonly Entry[];
  acknowledged: readonly Acknowledged[];
  /** Others' marks, by user. */
  marks: ReadonlyMap<string, Marks>;
  memberCount: number;
}

export function viewOf(items: readonly Item[], overlay: Overlay): ViewItem[] {
  const changes = [...overlay.acknowledged, ...overlay.waiting].filter((entry) => !entry.error);
  const progress = progressOf(overlay);
  const stored = items.map((item): ViewItem => {
    if (item.kind === "notice") return { key: item.id, item, progress: "none" };
    const changed = changes.reduce((message, entry) => overlaid(message, entry, overlay.me), item);
    return {
      key: item.client_id ?? item.id,
      item: changed,
      progress: item.sender_id === overlay.me ? progress(item.seq) : "none",
    };
  });
  const newest = items[items.length - 1]?.seq ?? 0;
  const acknowledged = overlay.acknowledged
    .filter((entry) => entry.event === "message:send" && entry.stored.seq > newest)
    .map((entry): ViewItem => {
      const message = { ...waitingMessage(entry, overlay.me), ...entry.stored };
      return { key: entry.client_id, item: message, progress: "sent" };
    });
  const waiting = overlay.waiting
    .filter((entry) => entry.event === "message:send")
    .map((entry): ViewItem => ({
      key: entry.client_id,
      item: waitingMessage(entry, overlay.me),
      progress: entry.error ? "failed" : "waiting",
      ...(entry.error ? { error: entry.error.text } : {}),
    }));
  return [...stored, ...acknowledged, ...waiting];
}

/** Delivered or read by every other member; those of whom nothing was heard have read nothing. */
function progressOf(overlay: Overlay): (seq: number) => Progress {
  const others = [...overlay.marks].filter(([user]) => user !== overlay.me).map(([, marks]) => marks);
  const heardOfAll = others.length > 0 && others.length >= overlay.memberCount - 1;
  const read = heardOfAll ? Math.min(...others.map((marks) => marks.read_seq)) : 0;
  const delivered = heardOfAll ? Math.min(...others.map((marks) => marks.delivered_seq)) : 0;
  return (seq) => (seq <= read ? "read" : seq <= delivered ? "delivered" : "sent");
}

function overlaid(message: Message, entry: Entry, me: string): Message {
  const payload = entry.payload as Partial<ClientEvents["message:edit"][0] & { emoji: string }>;
  if (payload.seq !== message.seq || message.gone) return message;
  switch (entry.event) {
    case "message:edit":
      return { ...message, content: payload.content as Content, edited_seq: message.edited_seq ?? 0 };
    case "message:delete":
      return { ...message, content: null, gone: "deleted", reactions: [] };
    case "reaction:add":
    case "reaction:remove": {
      const add = entry.event === "reaction:add";
      const change = { emoji: payload.emoji!, add, by: me, me };
      return { ...message, reactions: withReaction(message.reactions, change) };
    }
    default:
      return message;
  }
}

function waitingMessage(entry: Entry, me: string): Message {
  const { content, reply_to, thread_seq, mentions } = entry.payload as SendMessage;
  return {
    kind: "message",
    seq: 0,
    id: entry.client_id,
    at: entry.created_at,
    sender_id: me,
    client_id: entry.client_id,
    content,
    reactions: [],
    ...(reply_to === undefined ? {} : { reply_to }),
    ...(thread_seq === undefined ? {} : { thread_seq }),
    ...(mentions === undefined ? {} : { mentions }),
  };
}
