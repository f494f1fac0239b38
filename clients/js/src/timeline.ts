/**
 * The part of a room's log that this client holds: one window without holes that ends at the newest event
 * it knows in order. No I/O: events go in, what to ask for comes out.
 */

import type { LogEvent } from "./wire.js";

/** Live events that wait for the hole before them to be filled; more than this are dropped: sync brings them. */
const MAX_WAITING = 1_000;

/** What became of a live event. */
export type Taken = "applied" | "duplicate" | "gap" | "reset";

export class Timeline {
  private window: LogEvent[] = [];
  private waiting = new Map<number, LogEvent>();
  private readonly appended: (events: readonly LogEvent[]) => void;
  private readonly restarted: () => void;

  /** Seq of the newest event held in order; the log's head at the start if the window is empty. */
  high = 0;
  /** The server holds nothing before this seq for us. */
  firstSeq = 1;

  /**
   * @param appended called with events that extend the window at its end, ascending by 1.
   * @param restarted called when the window was replaced: read `events` anew.
   */
  constructor(
    public logId: string,
    listener: { appended: (events: readonly LogEvent[]) => void; restarted: () => void },
  ) {
    this.appended = listener.appended;
    this.restarted = listener.restarted;
  }

  get events(): readonly LogEvent[] {
    return this.window;
  }

  /** Seq of the oldest event held; `high + 1` when none is. */
  get low(): number {
    return this.window[0]?.seq ?? this.high + 1;
  }

  /** True: the server has older events. */
  get hasOlder(): boolean {
    return this.low > this.firstSeq;
  }

  /** True: live events wait for earlier ones. */
  get hasGap(): boolean {
    return this.waiting.size > 0;
  }

  /** An event as it happened. `gap`: ask for what comes after `high`. `reset`: this is another log. */
  live(event: LogEvent): Taken {
    if (event.log_id !== this.logId) return "reset";
    if (event.seq <= this.high) return "duplicate";
    if (event.seq > this.high + 1) {
      if (this.waiting.size < MAX_WAITING) this.waiting.set(event.seq, event);
      return "gap";
    }
    this.append([event]);
    return "applied";
  }

  /** Events after `high`, ascending, as `sync` or a page answered them. Those already held are skipped. */
  fill(events: readonly LogEvent[]): void {
    const fresh: LogEvent[] = [];
    let next = this.high + 1;
    for (const event of events) {
      if (event.log_id !== this.logId || event.seq < next) continue;
      if (event.seq > next) break;
      fresh.push(event);
      next += 1;
    }
    this.append(fresh);
  }

  /** The window starts anew: another log, or a part of it that retention has dropped. */
  restart(logId: string, firstSeq: number, events: readonly LogEvent[], head: number): void {
    if (logId !== this.logId) this.waiting.clear();
    this.logId = logId;
    this.firstSeq = firstSeq;
    this.window = [...events];
    this.high = events[events.length - 1]?.seq ?? head;
    this.restarted();
    this.append([]);
  }

  /** A page before `low`, ascending. A page that does not reach `low` is refused: it would make a hole. */
  prepend(page: { log_id: string; first_seq: number; events: readonly LogEvent[] }): boolean {
    const older = page.events.filter((event) => event.seq < this.low);
    const last = older[older.length - 1];
    if (page.log_id !== this.logId || (last && last.seq !== this.low - 1)) return false;
    // An empty page means that nothing older is served, whatever was announced.
    this.firstSeq = last ? page.first_seq : Math.max(page.first_seq, this.low);
    this.window = [...older, ...this.window];
    this.restarted();
    return true;
  }

  private append(events: LogEvent[]): void {
    let next = (events[events.length - 1]?.seq ?? this.high) + 1;
    for (let event = this.waiting.get(next); event; event = this.waiting.get(next)) {
      events.push(event);
      next += 1;
    }
    this.high = next - 1;
    for (const seq of this.waiting.keys()) if (seq <= this.high) this.waiting.delete(seq);
    if (events.length === 0) return;
    this.window.push(...events);
    this.appended(events);
  }
}
