/** Carries the outbox to the server: one command of each room at a time, in order, until each is answered. */

import type { Clock, ServerClock } from "./clock.js";
import { asHubbubError } from "./errors.js";
import type { ClientIds } from "./ids.js";
import { OutboxQueue, type Acknowledged, type Entry } from "./outbox.js";
import type { OutboxStore } from "./outbox_store.js";
import type { Transport } from "./transport.js";
import type { ClientEvents, Command } from "./wire.js";

export interface SenderListener {
  acknowledged(entry: Acknowledged): void;
  failed(entry: Entry): void;
  changed(): void;
}

type Body<Name extends Command> = Omit<ClientEvents[Name][0], "client_id">;

export class Sender {
  private queue = new OutboxQueue();
  private order = 0;
  private closed = false;

  constructor(
    private readonly userId: string,
    private readonly parts: {
      transport: Transport;
      store: OutboxStore;
      ids: ClientIds;
      clock: Clock;
      serverClock: ServerClock;
      listener: SenderListener;
    },
  ) {}

  get waiting(): number {
    return this.queue.size;
  }

  of(roomId: string): readonly Entry[] {
    return this.queue.of(roomId);
  }

  /** Read what an earlier run left. Call once. */
  async load(): Promise<void> {
    const kept = await this.parts.store.load(this.userId);
    const meanwhile = this.queue.all();
    this.queue = new OutboxQueue(kept);
    this.order = this.queue.lastOrder;
    for (const entry of meanwhile) this.queue.add({ ...entry, order: (this.order += 1) });
    this.pump();
  }

  /** Queue a command; it goes out as soon as it may. Resolves when it is kept durably on this machine. */
  async add<Name extends Command>(event: Name, body: Body<Name>): Promise<string> {
    const client_id = this.parts.ids.next();
    this.order += 1;
    const entry: Entry = {
      client_id,
      room_id: body.room_id,
      event,
      payload: { ...body, client_id } as ClientEvents[Command][0],
      created_at: this.parts.serverClock.now(),
      order: this.order,
    };
    this.queue.add(entry);
    this.parts.listener.changed();
    await this.parts.store.put(this.userId, entry);
    this.pump();
    return client_id;
  }

  /** Send a refused command again, under a new id. */
  async retry(clientId: string): Promise<void> {
    await this.renew(clientId);
    this.pump();
  }

  /** Forget a command: it was refused, or its event has been seen in the log. */
  async forget(clientId: string): Promise<void> {
    const entry = this.queue.done(clientId);
    if (!entry) return;
    this.parts.listener.changed();
    await this.parts.store.remove(this.userId, clientId);
    this.pump();
  }

  disconnected(): void {
    this.queue.disconnected();
  }

  close(): void {
    this.closed = true;
  }

  /** Send whatever may go out now. Call after a connect. */
  pump(): void {
    if (this.closed || !this.parts.transport.connected) return;
    for (const entry of this.queue.take(this.parts.clock.now())) void this.carry(entry);
  }

  private async carry(entry: Entry): Promise<void> {
    const { transport, listener, store } = this.parts;
    try {
      const stored = await transport.request(entry.event, entry.payload as never);
      if (this.closed) return;
      this.queue.done(entry.client_id);
      listener.acknowledged({ ...entry, stored });
      await store.remove(this.userId, entry.client_id);
    } catch (refusal) {
      if (!this.closed) await this.refused(entry, refusal);
      return;
    }
    this.pump();
  }

  private async refused(entry: Entry, refusal: unknown): Promise<void> {
    const { clock, listener, serverClock, store, transport } = this.parts;
    const error = asHubbubError(refusal);
    const now = error.data?.["now"];
    if (typeof now === "number") serverClock.learn(now);
    // Without a connection nothing rests: the next connect sends it at once.
    if (error.code === "offline" && !transport.connected) return;
    const next = this.queue.refused(entry.client_id, error, clock.now());
    if (next.kind === "retry") clock.setTimeout(() => this.pump(), next.afterMs + 1);
    if (next.kind === "renew") await this.renew(entry.client_id);
    if (next.kind === "failed") {
      const failed = this.queue.get(entry.client_id);
      if (failed) {
        await store.put(this.userId, failed);
        listener.failed(failed);
      }
      listener.changed();
    }
    this.pump();
  }

  private async renew(clientId: string): Promise<void> {
    const entry = this.queue.renewed(clientId, this.parts.ids.next());
    if (!entry) return;
    await this.parts.store.put(this.userId, entry);
    await this.parts.store.remove(this.userId, clientId);
    this.parts.listener.changed();
  }
}
