/** Refusals: one class, a code for programs and a text for people. */

import type { WireError } from "./wire.js";

/** Codes of the wire contract, and `offline`: the server was not reached, so nothing is known. */
export type ErrorCode =
  | "invalid"
  | "unauthorized"
  | "forbidden"
  | "not_found"
  | "conflict"
  | "stale_epoch"
  | "too_large"
  | "rate_limited"
  | "unavailable"
  | "internal"
  | "offline";

export class HubbubError extends Error {
  /** A code of {@link ErrorCode}; a newer server may know others. */
  readonly code: string;
  /** The dotted path of the field to blame, when there is one. */
  readonly field: string | undefined;
  /** Seconds (> 0) after which the same request may succeed. */
  readonly retryAfterS: number | undefined;
  readonly data: Record<string, unknown> | undefined;

  constructor(error: WireError) {
    super(error.text);
    this.name = new.target.name;
    this.code = error.code;
    this.field = error.field;
    this.retryAfterS = error.retry_after_s;
    this.data = error.data;
  }

  /** The same request may succeed later, unchanged. */
  get transient(): boolean {
    return TRANSIENT.has(this.code);
  }
}

/** Nobody is logged in, or the session is over. */
export class Unauthorized extends HubbubError {}
/** Too often: `retryAfterS` says when. */
export class RateLimited extends HubbubError {}
/** It contradicts what is there (a name that is taken, an id used for something else). */
export class Conflict extends HubbubError {}
export class NotFound extends HubbubError {}
export class Forbidden extends HubbubError {}
export class Invalid extends HubbubError {}
export class TooLarge extends HubbubError {}

/** The server was not reached, or did not answer in time. What was asked may have happened. */
export class Offline extends HubbubError {
  constructor(text = "The server cannot be reached. Check the connection and try again.") {
    super({ code: "offline", text });
  }
}

const TRANSIENT = new Set(["rate_limited", "unavailable", "internal", "offline"]);

const KINDS: Record<string, new (error: WireError) => HubbubError> = {
  unauthorized: Unauthorized,
  rate_limited: RateLimited,
  conflict: Conflict,
  not_found: NotFound,
  forbidden: Forbidden,
  invalid: Invalid,
  too_large: TooLarge,
};

/** The error class of a refusal that came over HTTP or in an acknowledgement. */
export function errorFrom(error: WireError): HubbubError {
  return new (KINDS[error.code] ?? HubbubError)(error);
}

export function asHubbubError(cause: unknown): HubbubError {
  if (cause instanceof HubbubError) return cause;
  return new HubbubError({ code: "internal", text: String(cause) });
}
