/** The login of this client: where it is kept, and how its tokens are renewed, once at a time over all tabs. */

import type { Session } from "./wire.js";

/** A session and when its access token ends, by this machine's clock. */
export interface KeptSession extends Session {
  expires_at: number;
}

/** Where the session lives between reloads. */
export interface SessionStore {
  load(): KeptSession | null;
  save(session: KeptSession): void;
  clear(): void;
  /** Other tabs see the same session: they have to be told when it ends. */
  readonly shared: boolean;
}

export class MemorySessionStore implements SessionStore {
  readonly shared = false;
  private session: KeptSession | null = null;

  load(): KeptSession | null {
    return this.session;
  }

  save(session: KeptSession): void {
    this.session = session;
  }

  clear(): void {
    this.session = null;
  }
}

/** `localStorage` (one login for all tabs) or `sessionStorage` (one for each tab). */
export class WebSessionStore implements SessionStore {
  constructor(
    private readonly storage: Pick<Storage, "getItem" | "setItem" | "removeItem">,
    readonly shared: boolean,
    private readonly key = "hubbub.session",
  ) {}

  load(): KeptSession | null {
    const text = this.storage.getItem(this.key);
    if (!text) return null;
    try {
      return JSON.parse(text) as KeptSession;
    } catch {
      this.clear();
      return null;
    }
  }

  save(session: KeptSession): void {
    this.storage.setItem(this.key, JSON.stringify(session));
  }

  clear(): void {
    this.storage.removeItem(this.key);
  }
}

/** Runs one task at a time, over all tabs of this origin where Web Locks exist, else in this process. */
export class Exclusive {
  private tail: Promise<unknown> = Promise.resolve();

  run<T>(name: string, task: () => Promise<T>): Promise<T> {
    const locks = globalThis.navigator?.locks;
    if (locks) return locks.request(name, task) as Promise<T>;
    const turn = this.tail.then(task, task);
    this.tail = turn.catch(() => undefined);
    return turn;
  }
}

const CHANNEL = "hubbub.session";

/** Tells the other tabs of a shared session that it ended, and hears it from them. */
export class SessionChannel {
  private readonly channel: BroadcastChannel | undefined;

  constructor(onEnded: (sessionId: string) => void) {
    // Node has BroadcastChannel too, but there it would keep the process alive and connect unrelated clients.
    if (typeof window === "undefined" || typeof BroadcastChannel === "undefined") return;
    this.channel = new BroadcastChannel(CHANNEL);
    this.channel.onmessage = (message: MessageEvent<{ ended: string }>) => onEnded(message.data.ended);
  }

  ended(sessionId: string): void {
    this.channel?.postMessage({ ended: sessionId });
  }

  close(): void {
    this.channel?.close();
  }
}
