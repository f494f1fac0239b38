/** Remembers the call of a tab over a reload, for as long as the server waits for its device. */

import type { CallEnvironment } from "./environment.js";
import type { MediaChoice } from "./types.js";

const KEY = "hubbub.call";
/** The server's grace for a device that vanished. */
const GRACE_MS = 15_000;

export interface LeftCall {
  callId: string;
  deviceId: string;
  choice: MediaChoice;
}

export class Reloads {
  constructor(private readonly environment: CallEnvironment) {}

  /** To be written when the page goes away, not before: a tab that is duplicated takes a copy along. */
  leave(left: LeftCall, now: number): void {
    try {
      this.environment.storage?.setItem(KEY, JSON.stringify({ ...left, at: now }));
    } catch {
      // Full or forbidden: then the reload ends the call for this device.
    }
  }

  /** The call that this device was in just now. Answers once. */
  take(deviceId: string, now: number): LeftCall | undefined {
    const text = this.environment.storage?.getItem(KEY);
    if (!text) return undefined;
    this.environment.storage?.removeItem(KEY);
    const left = parse(text);
    if (!left || left.deviceId !== deviceId || Math.abs(now - left.at) > GRACE_MS) return undefined;
    const { callId, choice } = left;
    return { callId, deviceId, choice };
  }
}

function parse(text: string): (LeftCall & { at: number }) | undefined {
  try {
    const left = JSON.parse(text) as LeftCall & { at: number };
    return typeof left.callId === "string" && typeof left.choice === "object" ? left : undefined;
  } catch {
    return undefined;
  }
}
