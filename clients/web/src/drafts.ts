/** What was typed and not sent: kept on this device, for each room and thread, as long as the login lasts. */

import { createContext } from "preact";
import { useContext, useEffect, useState } from "preact/hooks";

/** Of messages; what a person began in so many rooms is forgotten from the oldest on. 50 full ones are 0.8 M letters. */
const MAX_DRAFTS = 50;
const MAX_TEXT = 16_384;

export interface Draft {
  text: string;
  /** Seq of the message that it answers. What that one says is not kept: it may be deleted meanwhile. */
  reply?: number | undefined;
}

/** `localStorage` for a login of all tabs, `sessionStorage` for one of a tab. */
export type DraftStorage = Pick<Storage, "length" | "key" | "getItem" | "setItem" | "removeItem">;

const NONE: Draft = { text: "" };
/** Of all keys. */
export const PREFIX = "hubbub.draft.";

export const placeOf = (roomId: string, thread?: number): string =>
  thread === undefined ? roomId : `${roomId}/${thread}`;

export class Drafts {
  private userId: string | undefined;
  /** The one changed last is the last. */
  private known = new Map<string, Draft>();
  private readonly listeners = new Set<() => void>();

  /** `me`: who is logged in; each sees his own drafts. */
  constructor(
    private readonly storage: DraftStorage,
    private readonly me: () => string | undefined,
    private readonly now = Date.now,
  ) {
    this.follow();
  }

  of(place: string): Draft {
    this.follow();
    return this.known.get(place) ?? NONE;
  }

  change(place: string, change: Partial<Draft>): void {
    this.follow();
    const { text, reply } = { ...this.of(place), ...change };
    const draft = { text: text.slice(0, MAX_TEXT), reply };
    this.known.delete(place);
    if (draft.text !== "" || reply !== undefined) this.known.set(place, draft);
    this.write(place, this.known.get(place));
    for (const oldest of [...this.known.keys()].slice(0, -MAX_DRAFTS)) {
      this.known.delete(oldest);
      this.write(oldest, undefined);
    }
    this.tell();
  }

  /** The login is over: nothing of it stays. */
  clear(): void {
    for (const key of this.keys()) this.storage.removeItem(key);
    this.known.clear();
    this.userId = undefined;
    this.tell();
  }

  /** Another tab of this login wrote or sent. */
  reload(): void {
    this.userId = undefined;
    this.follow();
    this.tell();
  }

  listen(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private follow(): void {
    const me = this.me();
    if (me === undefined || me === this.userId) return;
    this.userId = me;
    const found = this.keys().map((key) => [key, parsed(this.storage.getItem(key))] as const);
    const good = found.flatMap(([key, kept]) => (kept ? [{ place: key.slice(this.prefix.length), ...kept }] : []));
    this.known = new Map(good.sort((a, b) => a.at - b.at).map(({ place, text, reply }) => [place, { text, reply }]));
  }

  private get prefix(): string {
    return `${PREFIX}${this.userId}.`;
  }

  private keys(): string[] {
    const all = Array.from({ length: this.storage.length }, (_, index) => this.storage.key(index) ?? "");
    return all.filter((key) => key.startsWith(this.prefix));
  }

  private write(place: string, draft: Draft | undefined): void {
    if (this.userId === undefined) return;
    const key = this.prefix + place;
    try {
      if (draft) this.storage.setItem(key, JSON.stringify({ ...draft, at: this.now() }));
      else this.storage.removeItem(key);
    } catch {
      // The storage is full, or may not be used: then it is kept until the page is left.
    }
  }

  private tell(): void {
    for (const listener of this.listeners) listener();
  }
}

function parsed(text: string | null): (Draft & { at: number }) | undefined {
  try {
    const { text: body, reply, at } = JSON.parse(text ?? "") as Record<string, unknown>;
    if (typeof body !== "string" || typeof at !== "number") return undefined;
    return { text: body.slice(0, MAX_TEXT), reply: typeof reply === "number" ? reply : undefined, at };
  } catch {
    return undefined;
  }
}

export const DraftsContext = createContext<Drafts>(undefined as unknown as Drafts);

/** To write, or to read what is not being written now; a change draws nothing anew. */
export const useDrafts = (): Drafts => useContext(DraftsContext);

/** The draft of one place, drawn anew when it changes. */
export function useDraft(place: string): Draft {
  const drafts = useDrafts();
  const [, draw] = useState(0);
  useEffect(() => drafts.listen(() => draw((count) => count + 1)), [drafts]);
  return drafts.of(place);
}
