/** The connection to one other device: its peer connection, a new one when that device has one, and what arrives. */

import type { Clock } from "../clock.js";
import type { CallEnvironment } from "./environment.js";
import { Negotiation } from "./negotiation.js";
import { fingerprintsOf } from "./signal.js";
import { Slots } from "./slots.js";
import type { CallSignal, Source } from "./types.js";

/** The side that does not offer first waits so long for an offer; then it makes one. */
const OFFER_LATE_MS = 4_000;
/** New peer connections that the other device may cause: so many at once, then one in so many ms. */
const REPLACED_BURST = 5;
const REPLACED_EVERY_MS = 3_000;
/** Signals that wait for the browser to take those before. */
const MAX_BACKLOG = 128;

export interface PeerListener {
  send(deviceId: string, signal: CallSignal): void;
  /** Another peer connection takes the place of the one before. */
  replaced(): void;
  changed(): void;
}

export interface PeerSettings {
  deviceId: string;
  /** Gives way when offers cross. */
  polite: boolean;
  configuration: RTCConfiguration;
}

type Description = Extract<CallSignal, { type: "offer" | "answer" }>;

interface Current {
  pc: RTCPeerConnection;
  slots: Slots;
  negotiation: Negotiation;
  id: string;
  /** Resolves when it is closed: what a browser was doing to it then is neither done nor refused, ever. */
  dropped: Promise<void>;
  drop: () => void;
}

export class Peer {
  /** Grows when the peer connection is replaced: its counters start anew. */
  life = 0;
  private current!: Current;
  /** Which of its peer connections the other device has told of itself: its own name, and its certificates. */
  private remote: { id: string | undefined; fingerprints: string } | undefined;
  private readonly sending = new Map<Source, MediaStreamTrack>();
  private readonly arrived = new Map<Source, MediaStream>();
  private backlog = 0;
  private tail: Promise<void> = Promise.resolve();
  private closed = false;
  private replaced = 0;
  private replacedAt: number;
  private offerTimer: unknown;

  constructor(
    private readonly settings: PeerSettings,
    private readonly environment: CallEnvironment,
    private readonly clock: Clock,
    private readonly listener: PeerListener,
  ) {
    this.replacedAt = clock.now();
    this.open();
  }

  get deviceId(): string {
    return this.settings.deviceId;
  }

  get connection(): RTCPeerConnection {
    return this.current.pc;
  }

  get connected(): boolean {
    return this.current.pc.connectionState === "connected";
  }

  /** An offer of ours waits for its answer. */
  get unanswered(): boolean {
    return this.current.negotiation.unanswered;
  }

  /** What arrives as `source`, once it does. */
  stream(source: Source): MediaStream | undefined {
    return this.arrived.get(source);
  }

  /** Make the first offer. */
  begin(): void {
    this.current.slots.open();
  }

  /** Wait for the first offer of the other side. */
  expect(): void {
    this.offerTimer = this.clock.setTimeout(() => !this.remote && this.begin(), OFFER_LATE_MS);
  }

  put(source: Source, track: MediaStreamTrack | undefined): void {
    if (track) this.sending.set(source, track);
    else this.sending.delete(source);
    this.current.slots.put(source, track).catch(() => undefined);
  }

  configure(configuration: RTCConfiguration): void {
    this.settings.configuration = configuration;
    try {
      this.current.pc.setConfiguration(configuration);
    } catch {
      // Closed meanwhile, or a browser that refuses: the next peer connection has it.
    }
  }

  /** Find new paths; what still flows goes on. */
  restartIce(): void {
    if (this.unanswered) this.current.negotiation.repeat();
    else this.current.pc.restartIce();
  }

  /** The last resort: everything anew. */
  rebuild(): void {
    this.remote = undefined;
    this.open();
    this.begin();
  }

  /** Signals take effect one after the other, in the order they came. */
  receive(signal: CallSignal): void {
    if (this.closed || this.backlog >= MAX_BACKLOG) return;
    this.backlog += 1;
    this.tail = this.tail
      .then(() => {
        if (this.closed) return undefined;
        const taken = this.take(signal); // may have made another peer connection for it
        return Promise.race([taken, this.current.dropped]);
      })
      // What the browser refuses was nonsense, or late: either way it changes nothing.
      .catch(() => undefined)
      .finally(() => (this.backlog -= 1));
  }

  close(): void {
    this.closed = true;
    this.clock.clearTimeout(this.offerTimer);
    this.drop();
  }

  private async take(signal: CallSignal): Promise<void> {
    if (signal.to !== undefined && signal.to !== this.current.id) return; // for an earlier peer connection of ours
    if (signal.type === "candidate") {
      if (!this.isAnother(signal.from)) await this.current.negotiation.takeCandidate(signal);
    } else if (signal.type === "offer") await this.takeOffer(signal);
    else await this.takeAnswer(signal);
  }

  private async takeOffer(signal: Description): Promise<void> {
    const { negotiation, slots } = this.current;
    const fingerprints = fingerprintsOf(signal.sdp);
    const another = this.isAnother(signal.from, fingerprints);
    if (!another && negotiation.ignores("offer")) return;
    // A first offer that gives way, made or about to be, leaves lines behind that nobody asked for: each side would
    // send in its own and refuse the other's. Better begin anew.
    if (another || (!this.remote && slots.opened)) {
      if (!this.mayReplace()) return;
      this.open();
    }
    this.remote = { id: signal.from, fingerprints };
    await this.current.negotiation.takeOffer(signal);
  }

  private async takeAnswer(signal: Description): Promise<void> {
    const fingerprints = fingerprintsOf(signal.sdp);
    if (!this.unanswered) return;
    if (this.isAnother(signal.from, fingerprints)) {
      if (this.mayReplace()) this.rebuild();
      return;
    }
    this.remote = { id: signal.from, fingerprints };
    await this.current.negotiation.takeAnswer(signal);
  }

  private isAnother(id: string | undefined, fingerprints?: string): boolean {
    if (!this.remote) return false;
    if (id !== undefined && this.remote.id !== undefined) return id !== this.remote.id;
    return fingerprints !== undefined && fingerprints !== this.remote.fingerprints;
  }

  private mayReplace(): boolean {
    const now = this.clock.now();
    this.replaced = Math.max(0, this.replaced - (now - this.replacedAt) / REPLACED_EVERY_MS);
    this.replacedAt = now;
    if (this.replaced >= REPLACED_BURST) return false;
    this.replaced += 1;
    return true;
  }

  private open(): void {
    this.drop();
    if (this.life > 0) this.listener.replaced();
    this.life += 1;
    const pc = this.environment.peer(this.settings.configuration);
    const id = globalThis.crypto.randomUUID?.() ?? String(Math.random());
    const slots = new Slots(pc, (source, track) => this.arrives(pc, source, track));
    const negotiation = new Negotiation(pc, slots, this.settings.polite, {
      send: (signal) => this.current.pc === pc && this.send(signal),
      negotiated: () => this.listener.changed(),
    });
    pc.onconnectionstatechange = () => this.current.pc === pc && this.listener.changed();
    let drop = () => {};
    const dropped = new Promise<void>((resolve) => (drop = resolve));
    this.current = { pc, slots, negotiation, id, dropped, drop };
    for (const [source, track] of this.sending) slots.put(source, track).catch(() => undefined);
  }

  private send(signal: CallSignal): void {
    if (this.closed) return;
    const to = this.remote?.id === undefined ? {} : { to: this.remote.id };
    this.listener.send(this.deviceId, { ...signal, from: this.current.id, ...to });
  }

  private arrives(pc: RTCPeerConnection, source: Source, track: MediaStreamTrack): void {
    const show = () => {
      if (this.current.pc !== pc || this.arrived.get(source)?.getTracks()[0] === track) return;
      this.arrived.set(source, this.environment.stream([track]));
      this.listener.changed();
    };
    track.onunmute = show;
    if (!track.muted) show();
  }

  private drop(): void {
    if (!(this.current as unknown)) return;
    const { pc, drop } = this.current;
    pc.onnegotiationneeded = pc.onicecandidate = pc.onconnectionstatechange = null;
    pc.close();
    drop();
    this.arrived.clear();
  }
}
