/** Who calls and which calls run, from what the server tells. No I/O. */

import { type Call, isOlder, type Ringing } from "./types.js";

/** Far above what a server tells one user; what is older goes first. */
const MAX_RINGING = 32;
const MAX_RUNNING = 1_000;

export class CallBook {
  private readonly rung = new Map<string, Ringing>();
  private readonly running = new Map<string, Call>();
  private readonly newest = new Map<string, Call>();
  /** Known from an earlier line and not told again on this one. */
  private unconfirmed = new Set<string>();

  constructor(private readonly me: () => string | undefined) {}

  /** The newest last. */
  get ringing(): readonly Ringing[] {
    return [...this.rung.values()];
  }

  get(callId: string): Call | undefined {
    return this.running.get(callId);
  }

  inRoom(roomId: string): Call | undefined {
    for (const call of this.running.values()) if (call.room_id === roomId) return call;
    return undefined;
  }

  /** `call:ringing` */
  rings(ringing: Ringing): void {
    if (!this.told(ringing.call) || ringing.call.state !== "ringing") return;
    put(this.rung, ringing.call.id, ringing, MAX_RINGING);
  }

  /**
   * `call:state`, or what a command answered. A reason while it still rings: it rings no more for this user.
   * Returns false where something newer was heard before.
   */
  told(call: Call): boolean {
    this.unconfirmed.delete(call.id);
    if (isOlder(call, this.newest.get(call.id))) return false;
    put(this.newest, call.id, call, MAX_RUNNING);
    if (call.state === "ended") this.running.delete(call.id);
    else put(this.running, call.id, call, MAX_RUNNING);
    const rung = this.rung.get(call.id);
    if (!rung) return true;
    const mine = call.participants.some((participant) => participant.user_id === this.me());
    if (call.state !== "ringing" || call.reason !== undefined || mine) this.rung.delete(call.id);
    else rung.call = call;
    return true;
  }

  silence(callId: string): void {
    this.rung.delete(callId);
  }

  /** Forget what rang out. Returns when the next one does (ms, the server's clock). */
  expire(now: number): number | undefined {
    let next: number | undefined;
    for (const [id, { expires_at }] of this.rung) {
      if (expires_at <= now) this.rung.delete(id);
      else next = Math.min(next ?? Infinity, expires_at);
    }
    return next;
  }

  /** A new line: the server tells anew what runs and rings. */
  beginLine(): void {
    this.unconfirmed = new Set([...this.running.keys(), ...this.rung.keys()]);
  }

  /** It has told everything by now: the rest ended meanwhile. */
  settleLine(): void {
    for (const id of this.unconfirmed) {
      this.running.delete(id);
      this.rung.delete(id);
    }
    this.unconfirmed.clear();
  }

  clear(): void {
    this.rung.clear();
    this.running.clear();
    this.newest.clear();
    this.unconfirmed.clear();
  }
}

/** Puts it last; the oldest goes when there are too many. */
function put<Value>(map: Map<string, Value>, key: string, value: Value, most: number): void {
  if (!map.has(key) && map.size >= most) map.delete(map.keys().next().value as string);
  map.set(key, value);
}
