/** `client.calls`: who calls, and the one call that this device is in. */

import { asHubbubError, Conflict, HubbubError } from "../errors.js";
import { JoinedCall } from "./active.js";
import { CallBook } from "./book.js";
import type { TabChannel } from "./environment.js";
import type { CallParts, Me } from "./parts.js";
import { hasPlace } from "./places.js";
import { Reloads } from "./reloads.js";
import {
  type ActiveCall,
  type Call,
  type CallMedia,
  type CallQuality,
  type CallsApi,
  isOlder,
  type MediaChoice,
  type Ringing,
} from "./types.js";
import type { CallServerEvents, Joined, Signalled } from "./wire.js";

/** After a connect the server has told of all calls within this. */
const TOLD_MS = 2_000;
/** Signals, and states of calls, that come before the answer to start or accept. */
const MAX_EARLY = 64;
const MAX_OWED = 20;

export class Calls implements CallsApi {
  current: JoinedCall | undefined;
  private features: readonly string[] | undefined;
  /** The server has said what it offers since the line came up. */
  private heardOffer = false;
  private readonly book: CallBook;
  private readonly reloads: Reloads;
  private readonly tabs: TabChannel | undefined;
  /** A start or accept is under way. */
  private joining = false;
  private early: Signalled[] = [];
  private toldEarly = new Map<string, Call>();
  /** Calls that this device left while the server could not be told. */
  private owed = new Set<string>();
  private expiry: unknown;
  private settling: unknown;

  constructor(
    private readonly parts: CallParts,
    /** Who is logged in. */
    private readonly me: () => Me | undefined,
    private readonly changed: () => void,
  ) {
    this.book = new CallBook(() => me()?.userId);
    this.reloads = new Reloads(parts.environment);
    this.tabs = parts.environment.tabs();
    this.tabs?.listen((message) => this.heard(message));
    parts.environment.watchPage({
      networkChanged: () => this.current?.reconnect(),
      leaving: () => this.pageLeaves(),
    });
  }

  // ---- what a page uses ----------------------------------------------------------------------------

  get available(): boolean {
    return this.unavailableBecause === undefined;
  }

  get unavailableBecause(): string | undefined {
    const { unavailableBecause } = this.parts.environment;
    if (unavailableBecause) return unavailableBecause;
    if (this.features?.includes("calls")) return undefined;
    return this.features ? "This server has no calls." : "The server has not been reached yet.";
  }

  get ringing(): readonly Ringing[] {
    return this.book.ringing;
  }

  inRoom(roomId: string): Call | undefined {
    return this.book.inRoom(roomId);
  }

  hasPlace(call: Call): boolean {
    return hasPlace(call, this.me()?.userId, this.features ?? []);
  }

  start(roomId: string, media: CallMedia, choice: MediaChoice = {}): Promise<ActiveCall> {
    return this.join(choice, async (me) => {
      const joined = await this.parts.transport.request("call:start", { room_id: roomId, media });
      if (isIn(joined.call, me) || joined.call.state === "ended") return joined;
      // One runs that this device may not just enter.
      if (!joined.call.participants.some(({ user_id }) => user_id === me.userId)) throw full();
      const text = "You are in this call with another device: take it over, or go on there.";
      throw new Conflict({ code: "conflict", text, data: { call_id: joined.call.id } });
    });
  }

  async accept(callId: string, choice: MediaChoice = {}, takeOver = false): Promise<ActiveCall> {
    if (this.current && !this.current.over && this.current.id !== callId) await this.current.leave();
    const ask = { call_id: callId, ...(takeOver && { take_over: true }) };
    return this.join(choice, async () => {
      try {
        return await this.parts.transport.request("call:accept", ask);
      } catch (cause) {
        // It is over, or this person is in it with another device.
        if (["not_found", "conflict"].includes(asHubbubError(cause).code)) this.book.silence(callId);
        throw cause;
      }
    });
  }

  async decline(callId: string): Promise<void> {
    this.book.silence(callId);
    this.changed();
    await this.parts.transport.request("call:decline", { call_id: callId });
  }

  dismiss(): void {
    if (!this.current?.over) return;
    this.current = undefined;
    this.changed();
  }

  qualityOf(callId: string): Promise<CallQuality> {
    return this.parts.api.callQuality(callId);
  }

  // ---- what the client tells -----------------------------------------------------------------------

  /** False: ask the server what it offers; after a time away it may be a newer one. */
  get informed(): boolean {
    return this.heardOffer;
  }

  /** `features` of the server. */
  offered(features: readonly string[]): void {
    this.features = features;
    this.heardOffer = true;
    if (this.parts.transport.connected) this.comeBack();
    this.changed();
  }

  connected(): void {
    const { clock } = this.parts;
    this.book.beginLine();
    clock.clearTimeout(this.settling);
    this.settling = clock.setTimeout(() => {
      this.book.settleLine();
      this.changed();
    }, TOLD_MS);
    for (const callId of this.owed) this.tellLeft(callId);
    if (this.current && !this.current.over) this.current.connected();
    else this.comeBack();
  }

  disconnected(): void {
    this.heardOffer = false;
    this.current?.disconnected();
  }

  rings(ringing: Ringing): void {
    this.book.rings(ringing);
    this.planExpiry();
  }

  told({ call }: CallServerEvents["call:state"]): void {
    if (!this.book.told(call)) return;
    if (this.current?.id === call.id && !this.current.over) this.current.told(call);
    else if (this.joining && this.toldEarly.size < MAX_EARLY) this.toldEarly.set(call.id, call);
  }

  signalled(signalled: Signalled): void {
    const { call_id, from_device_id, signal } = signalled;
    if (this.current?.id === call_id && !this.current.over) this.current.signalled(from_device_id, signal);
    // In a tab that did not join, they are for the one that did.
    else if (this.joining && this.early.length < MAX_EARLY) this.early.push(signalled);
  }

  /** Logged out or stopped: the call is left, the page's doings forgotten. */
  close(): void {
    this.current?.close();
    this.current = undefined;
    this.book.clear();
    this.owed.clear();
    this.parts.clock.clearTimeout(this.expiry);
    this.parts.clock.clearTimeout(this.settling);
  }

  // ---- inside --------------------------------------------------------------------------------------

  private async join(choice: MediaChoice, ask: (me: Me) => Promise<Joined>): Promise<ActiveCall> {
    const me = this.me();
    const { unavailableBecause } = this;
    if (!me || unavailableBecause) {
      throw new HubbubError({ code: "unavailable", text: unavailableBecause ?? "Please log in." });
    }
    if (this.joining || (this.current && !this.current.over)) {
      throw new Conflict({ code: "conflict", text: "You are in a call already: leave it first." });
    }
    this.joining = true;
    try {
      const joined = await ask(me);
      this.book.told(joined.call);
      this.current = this.enter(joined, choice, me);
      this.catchUp(this.current, me);
    } finally {
      this.joining = false;
      this.toldEarly.clear();
      this.early.splice(0).forEach((signalled) => this.signalled(signalled));
      this.changed();
    }
    return this.current;
  }

  private enter(joined: Joined, choice: MediaChoice, me: Me): JoinedCall {
    const settings = { choice, reports: this.features?.includes("call_quality") ?? false };
    const call = new JoinedCall(joined, settings, me, this.parts, {
      changed: this.changed,
      ended: (ended, owed) => owed && this.tellLeft(ended.id),
    });
    this.owed.delete(call.id);
    this.tabs?.post({ call_id: call.id, device_id: me.deviceId });
    if (joined.call.state === "ended") call.told(joined.call);
    return call;
  }

  /** Somebody may have come, or all be over, since the server answered. */
  private catchUp(call: JoinedCall, me: Me): void {
    const told = this.toldEarly.get(call.id);
    if (!told || isOlder(told, call.call)) return;
    // Of a server without revisions, what does not name this device is from before.
    if (told.revision === undefined && told.state !== "ended" && !isIn(told, me)) return;
    this.book.told(told);
    call.told(told);
  }

  /** Another tab of this browser has joined; if it is the same device, the call is there now. */
  private heard(message: unknown): void {
    const { call_id, device_id } = (message ?? {}) as Record<string, unknown>;
    if (this.current?.id === call_id && device_id === this.me()?.deviceId) this.current?.movedToTab();
  }

  private tellLeft(callId: string): void {
    this.owed.add(callId);
    if (this.owed.size > MAX_OWED) this.owed.delete(this.owed.values().next().value as string);
    this.parts.transport.request("call:leave", { call_id: callId }).then(
      () => this.owed.delete(callId),
      (cause) => asHubbubError(cause).code !== "offline" && this.owed.delete(callId),
    );
  }

  private pageLeaves(): void {
    const [call, me] = [this.current, this.me()];
    if (!call || call.over || !me) return;
    call.pageLeaves();
    this.reloads.leave({ callId: call.id, deviceId: me.deviceId, choice: call.choice }, this.parts.clock.now());
  }

  /** The page was loaded anew in the middle of a call. */
  private comeBack(): void {
    const busy = this.joining || (this.current && !this.current.over);
    const me = this.available && !busy ? this.me() : undefined;
    const left = me && this.reloads.take(me.deviceId, this.parts.clock.now());
    if (left) this.accept(left.callId, left.choice).catch(() => undefined);
  }

  private planExpiry(): void {
    const { clock, serverClock } = this.parts;
    clock.clearTimeout(this.expiry);
    const next = this.book.expire(serverClock.now());
    if (next === undefined) return;
    this.expiry = clock.setTimeout(() => {
      this.planExpiry();
      this.changed();
    }, next - serverClock.now());
  }
}

function full(): HubbubError {
  const text = "This call has as many people as the server connects: try again when one of them has left.";
  return new HubbubError({ code: "unavailable", text });
}

function isIn(call: Call, { deviceId }: Me): boolean {
  return call.participants.some(({ device_id }) => device_id === deviceId);
}
