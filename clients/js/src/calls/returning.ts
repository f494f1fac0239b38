/** Brings this device back into its call after the line to the server was lost. */

import { asHubbubError, type HubbubError } from "../errors.js";
import type { CallParts } from "./parts.js";
import type { CallReason } from "./types.js";
import type { Joined } from "./wire.js";

/** While the server is away it is tried so often, whatever the transport's own pauses are. */
const RETRY_LINE_MS = 1_000;
/** Errors that say that the call is over for this device. */
const OVER: Readonly<Record<string, CallReason>> = {
  conflict: "hung_up",
  not_found: "failed",
  forbidden: "failed",
};

export interface ReturnListener {
  back(joined: Joined): void;
  over(reason: CallReason): void;
}

export class Returning {
  /** The server hears this device in the call. */
  online = true;
  /** It has asked to be let in again. */
  asking = false;
  private timer: unknown;
  private closed = false;

  constructor(
    private readonly callId: string,
    private readonly parts: CallParts,
    private readonly listener: ReturnListener,
  ) {}

  lost(): void {
    this.online = false;
    this.again(RETRY_LINE_MS);
  }

  /** The line is back. */
  async ask(): Promise<void> {
    if (this.asking || this.closed) return;
    this.asking = true;
    try {
      const joined = await this.parts.transport.request("call:accept", { call_id: this.callId });
      this.asking = false;
      if (this.closed) return;
      this.online = true;
      this.parts.clock.clearTimeout(this.timer);
      this.listener.back(joined);
    } catch (cause) {
      this.asking = false;
      if (!this.closed) this.refused(asHubbubError(cause));
    }
  }

  /** The same answer with fresh `ice_servers`; undefined if there is none now. */
  async renew(): Promise<Joined | undefined> {
    if (this.asking || !this.online) return undefined;
    return this.parts.transport.request("call:accept", { call_id: this.callId }).catch(() => undefined);
  }

  close(): void {
    this.closed = true;
    this.parts.clock.clearTimeout(this.timer);
  }

  private refused({ code, retryAfterS }: HubbubError): void {
    const reason = OVER[code];
    if (reason) this.listener.over(reason);
    else this.again((retryAfterS ?? 0) * 1_000 || RETRY_LINE_MS);
  }

  private again(ms: number): void {
    const { clock, transport } = this.parts;
    clock.clearTimeout(this.timer);
    this.timer = clock.setTimeout(() => {
      if (this.closed || this.online) return;
      if (transport.connected) return void this.ask();
      transport.retry();
      this.again(RETRY_LINE_MS);
    }, ms);
  }
}
