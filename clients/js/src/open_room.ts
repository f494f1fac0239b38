/** A room whose log this client follows: window, fold and what is acknowledged but not yet in the log. */

import type { Api } from "./api.js";
import { Fold } from "./fold.js";
import type { Acknowledged } from "./outbox.js";
import { Timeline } from "./timeline.js";
import type { EventPage, LogEvent, SyncRoom } from "./wire.js";

const PAGE = 60;
/** A page may hold few messages among many reactions: ask again up to so often to have enough to show. */
const ENOUGH_MESSAGES = 20;
const MAX_PAGES = 5;
const CATCH_UP = 500;

export interface OpenRoomListener {
  /** Events in strict order, each once. */
  events(events: readonly LogEvent[]): void;
  /** The window starts anew. */
  restarted(events: readonly LogEvent[]): void;
}

export class OpenRoom {
  readonly fold: Fold;
  readonly timeline: Timeline;
  acknowledged: Acknowledged[] = [];
  private repairing: Promise<void> | undefined;
  private loading: Promise<void> | undefined;
  /** Live events that came before the first page. */
  private early: LogEvent[] | undefined = [];

  constructor(
    readonly id: string,
    parts: { me: string; logId: string },
    private readonly api: Api,
    private readonly listener: OpenRoomListener,
  ) {
    this.fold = new Fold(parts.me);
    this.timeline = new Timeline(parts.logId, {
      appended: (events) => this.appended(events),
      restarted: () => this.restarted(),
    });
  }

  /** True until the first page is there. */
  get opening(): boolean {
    return this.early !== undefined;
  }

  /** Fetch the newest page. */
  async load(): Promise<void> {
    this.start(await this.api.events(this.id, { limit: PAGE }));
    await this.fillScreen();
  }

  /** A live event; a hole before it is filled by asking, unless `patient`: then a sync is under way. */
  live(event: LogEvent, patient: boolean): void {
    if (this.early) {
      this.early.push(event);
      return;
    }
    const taken = this.timeline.live(event);
    if (taken === "reset" || (taken === "gap" && !patient)) void this.repair();
  }

  /** The answer of a sync. True: there is more to ask for. */
  synced(answer: SyncRoom): boolean {
    if (this.early) return false;
    const { room, events, gap } = answer;
    const first = events[0]?.seq ?? room.head + 1;
    if (answer.reset || room.log_id !== this.timeline.logId || (gap && first > this.timeline.high + 1)) {
      const oldest = gap && gap.after > 0 && !answer.reset ? first : room.first_seq;
      this.timeline.restart(room.log_id, Math.max(oldest, room.first_seq), events, room.head);
      return false;
    }
    this.timeline.fill(events);
    return answer.more || this.timeline.hasGap;
  }

  /** Ask for everything after what is held, until nothing is missing. */
  repair(): Promise<void> {
    this.repairing ??= this.catchUp().finally(() => (this.repairing = undefined));
    return this.repairing;
  }

  /** Ask for the page before what is held. */
  older(): Promise<void> {
    if (this.early || !this.timeline.hasOlder) return Promise.resolve();
    this.loading ??= this.before().finally(() => (this.loading = undefined));
    return this.loading;
  }

  private async before(): Promise<void> {
    const page = await this.api.events(this.id, { before: this.timeline.low, limit: PAGE });
    this.timeline.prepend(page);
  }

  private async catchUp(): Promise<void> {
    for (;;) {
      const after = this.timeline.high;
      const page = await this.api.events(this.id, { after, limit: CATCH_UP });
      if (page.log_id !== this.timeline.logId || after > page.head) {
        this.start(await this.api.events(this.id, { limit: PAGE }));
        return;
      }
      if (page.first_seq > after + 1) this.start(page);
      else this.timeline.fill(page.events);
      if (!page.more && !this.timeline.hasGap) return;
      if (this.timeline.high === after) return;
    }
  }

  private start(page: EventPage): void {
    this.timeline.restart(page.log_id, page.first_seq, page.events, page.head);
    const early = this.early ?? [];
    this.early = undefined;
    for (const event of early) this.live(event, false);
  }

  private async fillScreen(): Promise<void> {
    for (let page = 1; page < MAX_PAGES && this.timeline.hasOlder; page += 1) {
      if (this.fold.items.length >= ENOUGH_MESSAGES) return;
      await this.older();
    }
  }

  private appended(events: readonly LogEvent[]): void {
    for (const event of events) this.fold.apply(event);
    this.settle();
    this.listener.events(events);
  }

  private restarted(): void {
    this.fold.restart(this.timeline.events);
    this.settle();
    this.listener.restarted(this.timeline.events);
  }

  private settle(): void {
    this.acknowledged = this.acknowledged.filter((entry) => entry.stored.seq > this.timeline.high);
  }
}
