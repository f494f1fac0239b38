/** The HTTP half of the contract: bearer token, one refresh at a time, refusals as errors. */

import { type Clock, sleep } from "./clock.js";
import { errorFrom, Offline, Unauthorized } from "./errors.js";
import { Exclusive, type KeptSession, type SessionStore } from "./session.js";
import type { Session, WireError } from "./wire.js";

/** Renew the access token when it has less than this left. */
const RENEW_BEFORE_MS = 30_000;
/** An answer later than this is none. */
const TIMEOUT_MS = 15_000;
/** How long a refused GET may wait for another attempt before the refusal is handed on. */
const MAX_WAIT_S = 10;
const MAX_ATTEMPTS = 3;

export interface Ask {
  body?: unknown;
  query?: Record<string, string | number | boolean | undefined>;
  /** False: no token is sent (sign-up, login). */
  login?: boolean;
  /** True: it is sent even when the page goes away meanwhile. */
  keepalive?: boolean;
}

export class Http {
  private readonly exclusive = new Exclusive();

  constructor(
    private readonly base: string,
    private readonly store: SessionStore,
    private readonly clock: Clock,
    private readonly fetch: typeof globalThis.fetch = (input, init) => globalThis.fetch(input, init),
    private readonly onEnded: () => void = () => undefined,
  ) {}

  get<T>(path: string, query: Ask["query"] = {}): Promise<T> {
    return this.ask<T>("GET", path, { query });
  }

  /**
   * One call. `path` begins with `/`; the answer is the JSON body, undefined for 204.
   *
   * @throws HubbubError as the server refused, {@link Offline} if it did not answer.
   */
  async ask<T>(method: string, path: string, options: Ask = {}): Promise<T> {
    const login = options.login ?? true;
    let renewed = false;
    for (let attempt = 1; ; attempt += 1) {
      const token = login ? await this.token() : undefined;
      const answer = await this.send(method, path, options, token);
      if (answer.ok) return answer.body as T;
      const error = errorFrom(answer.body as WireError);
      if (login && error.code === "unauthorized" && !renewed) {
        renewed = true;
        await this.renew(token!);
        continue;
      }
      const wait = error.code === "rate_limited" ? (error.retryAfterS ?? MAX_WAIT_S) : Infinity;
      if (method !== "GET" || attempt >= MAX_ATTEMPTS || wait > MAX_WAIT_S) throw error;
      await sleep(this.clock, wait * 1_000);
    }
  }

  /** Keep what sign-up, login or refresh answered. */
  keep(session: Session): KeptSession {
    const kept = { ...session, expires_at: this.clock.now() + session.expires_in_s * 1_000 };
    this.store.save(kept);
    return kept;
  }

  /** An access token that is good for a while. @throws Unauthorized when nobody is logged in. */
  async token(): Promise<string> {
    const session = this.store.load();
    if (!session) throw loggedOut();
    if (session.expires_at - this.clock.now() > RENEW_BEFORE_MS) return session.access_token;
    return (await this.renew(session.access_token)).access_token;
  }

  /** Replace an access token that was refused, unless another tab has done it already. */
  async renew(refused: string): Promise<KeptSession> {
    const sessionId = this.store.load()?.session_id ?? "none";
    return this.exclusive.run(`hubbub.refresh.${sessionId}`, async () => {
      const session = this.store.load();
      if (!session) throw loggedOut();
      if (session.access_token !== refused) return session;
      const body = { refresh_token: session.refresh_token };
      const answer = await this.send("POST", "/api/v1/sessions/refresh", { body }, undefined);
      if (answer.ok) return this.keep(answer.body as Session);
      const error = errorFrom(answer.body as WireError);
      if (error.code === "unauthorized") {
        this.store.clear();
        this.onEnded();
      }
      throw error;
    });
  }

  private async send(
    method: string,
    path: string,
    options: Ask,
    token: string | undefined,
  ): Promise<{ ok: boolean; body: unknown }> {
    const headers: Record<string, string> = {};
    if (token) headers["authorization"] = `Bearer ${token}`;
    if (options.body !== undefined) headers["content-type"] = "application/json";
    const init: RequestInit = { method, headers, signal: AbortSignal.timeout(TIMEOUT_MS) };
    if (options.keepalive) init.keepalive = true;
    if (options.body !== undefined) init.body = JSON.stringify(options.body);
    let response: Response;
    let text: string;
    try {
      response = await this.fetch(this.base + path + queryString(options.query ?? {}), init);
      text = await response.text();
    } catch {
      throw new Offline();
    }
    return { ok: response.ok, body: decode(text, response.status) };
  }
}

function decode(text: string, status: number): unknown {
  if (text === "") return undefined;
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    if (status >= 500) throw new Offline();
    return { code: "internal", text: `The server answered ${status} with something unreadable.` };
  }
  if (status < 400) return body;
  const problem = body as { code?: string; detail?: string; title?: string; text?: string };
  const words = problem.detail ?? problem.text ?? problem.title ?? `The server answered ${status}.`;
  return { code: "internal", ...problem, text: words };
}

function queryString(query: NonNullable<Ask["query"]>): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  if (given.length === 0) return "";
  return `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString()}`;
}

function loggedOut(): Unauthorized {
  return new Unauthorized({ code: "unauthorized", text: "Please log in." });
}
