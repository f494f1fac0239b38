/** Words for times and people, and links in plain text. */

import type { Hubbub, Room, User } from "@hubbub/client";

const clockTime = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "long" });
const date = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long", year: "numeric" });
const shortDate = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

const DAY_MS = 86_400_000;

export const timeOf = (at: number): string => clockTime.format(at);
export const momentOf = (at: number): string => full.format(at);

/** Changes at local midnight. */
export function dayKey(at: number): string {
  const day = new Date(at);
  return `${day.getFullYear()}-${day.getMonth()}-${day.getDate()}`;
}

export function dayName(at: number, now = Date.now()): string {
  if (dayKey(at) === dayKey(now)) return "Today";
  if (dayKey(at) === dayKey(now - DAY_MS)) return "Yesterday";
  return now - at < 6 * DAY_MS && at < now ? weekday.format(at) : date.format(at);
}

/** For lists: the time today, else a short day. */
export function shortTime(at: number, now = Date.now()): string {
  if (dayKey(at) === dayKey(now)) return timeOf(at);
  if (dayKey(at) === dayKey(now - DAY_MS)) return "Yesterday";
  return shortDate.format(at);
}

export interface Piece {
  text: string;
  /** An http or https address; nothing else is made clickable. */
  href?: string;
}

const ADDRESS = /https?:\/\/[^\s<>"']+/g;

/** Parts a text into plain pieces and web addresses. Closing punctuation does not belong to an address. */
export function linkPieces(text: string): Piece[] {
  const pieces: Piece[] = [];
  let from = 0;
  for (const match of text.matchAll(ADDRESS)) {
    let address = match[0].replace(/[.,;:!?*_~]+$/, "");
    if (address.endsWith(")") && !address.includes("(")) address = address.slice(0, -1);
    if (!URL.canParse(address)) continue;
    if (match.index > from) pieces.push({ text: text.slice(from, match.index) });
    pieces.push({ text: address, href: address });
    from = match.index + address.length;
  }
  if (from < text.length) pieces.push({ text: text.slice(from) });
  return pieces;
}

export function nameOf(user: User | undefined): string {
  return user ? user.display_name || user.username : "…";
}

/** The other one of a direct room. */
export function otherId(room: Room, me: string | undefined): string | undefined {
  if (room.kind !== "direct") return undefined;
  return room.user_ids?.find((id) => id !== me) ?? me;
}

export function titleOf(client: Hubbub, room: Room): string {
  const other = otherId(room, client.me?.id);
  if (other !== undefined) return nameOf(client.people.user(other));
  return room.name ?? "Room without a name";
}

/** Up to two letters for a picture. */
export function initialsOf(name: string): string {
  const words = name.split(/[\s._-]+/).filter(Boolean);
  const letters = words.slice(0, 2).map((word) => [...word][0] ?? "");
  return letters.join("").toUpperCase() || "?";
}

/** One of eight colours, always the same for the same id. */
export function colourOf(id: string): number {
  let sum = 0;
  for (const letter of id) sum = (sum * 31 + letter.charCodeAt(0)) >>> 0;
  return sum % 8;
}

/** Names as a person says them: "Ann", "Ann and Bob", "Ann, Bob and 3 more". */
export function listNames(names: readonly string[]): string {
  if (names.length <= 1) return names[0] ?? "";
  if (names.length === 2) return `${names[0]} and ${names[1]}`;
  return `${names[0]}, ${names[1]} and ${names.length - 2} more`;
}
