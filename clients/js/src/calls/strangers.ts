/** Signals of devices that no `call:state` has named yet: in a cluster the two travel apart. Reads no clock, does no I/O. */

import type { CallSignal } from "./types.js";

/** An offer with its candidates, of two devices. What is older goes first. */
const MAX_KEPT = 64;
/** What took longer was not late: its device came in vain, or is gone. */
const KEPT_MS = 5_000;

export class Strangers {
  private kept: { deviceId: string; signal: CallSignal; at: number }[] = [];

  keep(deviceId: string, signal: CallSignal, now: number): void {
    this.kept.push({ deviceId, signal, at: now });
    if (this.kept.length > MAX_KEPT) this.kept.shift();
  }

  /** The device is known now: what it has sent, in order. */
  take(deviceId: string, now: number): CallSignal[] {
    const recent = this.kept.filter(({ at }) => now - at < KEPT_MS);
    this.kept = recent.filter((each) => each.deviceId !== deviceId);
    return recent.filter((each) => each.deviceId === deviceId).map(({ signal }) => signal);
  }
}
