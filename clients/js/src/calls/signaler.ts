/** Sends a call's signals in order, and again what a lost line may have lost. */

import type { Clock } from "../clock.js";
import { asHubbubError } from "../errors.js";
import type { Transport } from "../transport.js";
import type { CallSignal } from "./types.js";

/** Some restarts with their candidates; what is older is of no use after them. */
const MAX_KEPT = 100;
const AGAIN_MS = 1_000;

interface Outgoing {
  number: number;
  to: string;
  signal: CallSignal;
}

export class Signaler {
  private numbers = 0;
  /** Not acknowledged, and to be sent again. */
  private kept: Outgoing[] = [];
  private closed = false;

  constructor(
    private readonly callId: string,
    private readonly transport: Transport,
    private readonly clock: Clock,
  ) {}

  /** They go out at once, one behind the other: nothing waits for an acknowledgement. */
  send(to: string, signal: CallSignal): void {
    void this.carry({ number: (this.numbers += 1), to, signal });
  }

  /** What was not sent to a device is of a peer connection that is no more. */
  forget(to: string): void {
    this.kept = this.kept.filter((outgoing) => outgoing.to !== to);
  }

  /** The line is back, and this device at it. The other side bears it when something comes twice. */
  flush(): void {
    const again = this.kept.sort((a, b) => a.number - b.number);
    this.kept = [];
    for (const outgoing of again) void this.carry(outgoing);
  }

  close(): void {
    this.closed = true;
    this.kept = [];
  }

  private async carry(outgoing: Outgoing): Promise<void> {
    if (this.closed) return;
    const { to: to_device_id, signal } = outgoing;
    try {
      await this.transport.request("call:signal", { call_id: this.callId, to_device_id, signal });
    } catch (cause) {
      const { code, retryAfterS } = asHubbubError(cause);
      if (code === "offline") this.keep(outgoing);
      else if (code === "rate_limited") {
        this.clock.setTimeout(() => void this.carry(outgoing), (retryAfterS ?? 0) * 1_000 || AGAIN_MS);
      }
      // Else the other device is gone, or too much waits for it: recovery begins anew when it is back.
    }
  }

  private keep(outgoing: Outgoing): void {
    if (this.closed) return;
    this.kept.push(outgoing);
    if (this.kept.length > MAX_KEPT) this.kept.shift();
  }
}
