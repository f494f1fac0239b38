/** What this client tells of its user's doings, and whose presence it asks for: typing and presence. */

import type { Clock } from "./clock.js";
import type { People } from "./people.js";
import type { Transport } from "./transport.js";
import type { Status } from "./wire.js";

const TYPING_REPEAT_MS = 3_000;
/** Presence is asked for at most so many people at once (the wire's bound). */
const MAX_WATCHED = 500;

export class Attention {
  private typingSaid = new Map<string, number>();
  private watched: string[] = [];

  constructor(
    private readonly transport: Transport,
    private readonly clock: Clock,
    private readonly people: People,
  ) {}

  setTyping(roomId: string, typing: boolean): void {
    const said = this.typingSaid.get(roomId);
    const now = this.clock.now();
    if (typing ? said !== undefined && now - said < TYPING_REPEAT_MS : said === undefined) return;
    if (typing) this.typingSaid.set(roomId, now);
    else this.typingSaid.delete(roomId);
    this.transport.request("typing:set", { room_id: roomId, typing }).catch(() => undefined);
  }

  async setPresence(status: Status, text?: string): Promise<void> {
    await this.transport.request("presence:set", text === undefined ? { status } : { status, text });
  }

  watch(userIds: readonly string[]): void {
    const next = [...new Set(userIds)].sort().slice(0, MAX_WATCHED);
    if (next.join() === this.watched.join()) return;
    this.watched = next;
    void this.ask();
  }

  connected(): void {
    void this.ask();
  }

  disconnected(): void {
    this.typingSaid.clear();
    this.people.lost();
  }

  private async ask(): Promise<void> {
    if (!this.transport.connected || this.watched.length === 0) return;
    try {
      const answer = await this.transport.request("presence:watch", { user_ids: this.watched });
      for (const [id, presence] of Object.entries(answer.presence)) this.people.setPresence(id, presence);
    } catch {
      // Asked again after the next connect.
    }
  }
}
