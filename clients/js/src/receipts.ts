/** Receipts of one's own: collected, only growing, sent at most a few times a second, again after a reconnect. */

import type { Clock } from "./clock.js";
import { asHubbubError } from "./errors.js";
import type { Transport } from "./transport.js";

/** Receipts of so long are sent together. */
const PAUSE_MS = 300;

export interface Marks {
  delivered_seq: number;
  read_seq: number;
}

export class ReceiptQueue {
  private readonly told = new Map<string, Marks>();
  private readonly wanted = new Map<string, Marks>();

  /** Note what was delivered or read. True: there is something to send. */
  note(roomId: string, marks: Partial<Marks>): boolean {
    const read = marks.read_seq ?? 0;
    const next = grown(this.wanted.get(roomId) ?? this.known(roomId), {
      delivered_seq: Math.max(marks.delivered_seq ?? 0, read),
      read_seq: read,
    });
    const known = this.known(roomId);
    if (next.delivered_seq <= known.delivered_seq && next.read_seq <= known.read_seq) return false;
    this.wanted.set(roomId, next);
    return true;
  }

  /** What the server is known to hold: need not be sent again. */
  confirm(roomId: string, marks: Marks): void {
    const known = grown(this.known(roomId), marks);
    this.told.set(roomId, known);
    const wanted = this.wanted.get(roomId);
    if (wanted && wanted.delivered_seq <= known.delivered_seq && wanted.read_seq <= known.read_seq) {
      this.wanted.delete(roomId);
    }
  }

  /** What to send now; each stays wanted until confirmed. */
  due(): [roomId: string, marks: Marks][] {
    return [...this.wanted];
  }

  /** The server refused it for good, or the room is gone. */
  forget(roomId: string): void {
    this.wanted.delete(roomId);
  }

  private known(roomId: string): Marks {
    return this.told.get(roomId) ?? { delivered_seq: 0, read_seq: 0 };
  }
}

export function grown(before: Marks, marks: Partial<Marks>): Marks {
  return {
    delivered_seq: Math.max(before.delivered_seq, marks.delivered_seq ?? 0),
    read_seq: Math.max(before.read_seq, marks.read_seq ?? 0),
  };
}

/** Tells the server what was delivered and read, a little later and all at once. */
export class ReceiptSender {
  private readonly queue = new ReceiptQueue();
  private timer: unknown;

  constructor(
    private readonly transport: Transport,
    private readonly clock: Clock,
  ) {}

  note(roomId: string, marks: Partial<Marks>): void {
    if (!this.queue.note(roomId, marks)) return;
    this.timer ??= this.clock.setTimeout(() => this.flush(), PAUSE_MS);
  }

  confirm(roomId: string, marks: Marks): void {
    this.queue.confirm(roomId, marks);
  }

  forget(roomId: string): void {
    this.queue.forget(roomId);
  }

  /** Send what is due. Without a line it stays due: call after a connect. */
  flush(): void {
    this.close();
    if (!this.transport.connected) return;
    for (const [roomId, marks] of this.queue.due()) {
      const wanted = Object.fromEntries(Object.entries(marks).filter(([, seq]) => seq > 0));
      this.transport.request("receipt:set", { room_id: roomId, ...wanted }).then(
        (now) => this.queue.confirm(roomId, grown(now, marks)),
        (refusal) => {
          if (!asHubbubError(refusal).transient) this.queue.forget(roomId);
        },
      );
    }
  }

  close(): void {
    this.clock.clearTimeout(this.timer);
    this.timer = undefined;
  }
}
