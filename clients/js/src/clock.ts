/** Time, as the server sees it and as timers need it. Tests supply their own. */

export interface Clock {
  /** Milliseconds since the Unix epoch by this machine's clock. */
  now(): number;
  setTimeout(run: () => void, ms: number): unknown;
  clearTimeout(timer: unknown): void;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  setTimeout: (run, ms) => globalThis.setTimeout(run, ms),
  clearTimeout: (timer) => globalThis.clearTimeout(timer as ReturnType<typeof setTimeout>),
};

export function sleep(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => clock.setTimeout(resolve, ms));
}

/** The server's clock, estimated: ids are dated by it, because a wrong date makes an id invalid. */
export class ServerClock {
  private offset = 0;

  constructor(private readonly clock: Clock) {}

  now(): number {
    return Math.round(this.clock.now() + this.offset);
  }

  /** Take over a `now` of the server. `asked`: this machine's time when the question was sent. */
  learn(serverNow: number, asked: number = this.clock.now()): void {
    this.offset = serverNow - (asked + this.clock.now()) / 2;
  }
}
