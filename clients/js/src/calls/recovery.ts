/** Decides when a connection has to look for new paths, from what arrives. Reads no clock, does no I/O. */

/** Nothing for so long where packets flowed before: the path is dead. ICE itself takes 5 s and more to say so. */
const SILENCE_MS = 1_500;
/** Where no media is sent, only ICE's own checks arrive: one in 2.5 s, some of which may be lost. */
const QUIET_MS = 8_000;
/** From the first offer until something arrives; then between restarts, the last for all that follow. */
const PAUSES_MS = [1_500, 2_000, 3_000, 4_000];
const FIRST_CONNECT_MS = 6_000;
/** So many restarts without success: everything anew. */
const RESTARTS = 3;

/** What is known of a peer connection at a time. */
export interface Signs {
  /** Which pair of candidates is in use; undefined: none, or the browser does not say. */
  pairId?: string | undefined;
  /** Of this pair, totals. */
  bytesIn: number;
  /** Answers to checks, totals. */
  responses: number;
  ice: RTCIceConnectionState;
  connection: RTCPeerConnectionState;
}

export type Cure = "restart" | "rebuild";

export class Recovery {
  /** Packets are lost, or the network: it is being mended. */
  ailing = false;
  private before: Signs | undefined;
  private connected = false;
  private readonly begunAt: number;
  private bytesAt: number;
  private aliveAt: number;
  /** Media has arrived since the last cure: its absence means something. */
  private flowed = false;
  private cures = 0;
  private curedAt = -Infinity;

  constructor(now: number) {
    this.begunAt = this.bytesAt = this.aliveAt = now;
  }

  /** The first attempt has failed: what the server said of its relays may be old. */
  get stubborn(): boolean {
    return this.cures > 1;
  }

  /**
   * What to do now, if anything. To be asked every half a second.
   *
   * @param online nothing can be done without the server; the old path may come back meanwhile.
   */
  see(signs: Signs, now: number, online = true): Cure | undefined {
    this.learn(signs, now);
    if (!this.connected) {
      // Answers to ICE's checks are no connection: DTLS may have got nowhere.
      const late = now - Math.max(this.begunAt, this.curedAt) > FIRST_CONNECT_MS;
      return online && (late || signs.connection === "failed") ? this.cure(signs, now) : undefined;
    }
    this.ailing = this.isDead(signs, now);
    if (!this.ailing) return this.recovered();
    return online ? this.cure(signs, now) : undefined;
  }

  /** The network is another one, or the person asks for it: do not wait for silence. */
  suspect(signs: Signs, now: number): Cure {
    this.curedAt = -Infinity;
    this.flowed = false;
    return this.cure(signs, now) ?? "restart";
  }

  /** The peer connection was replaced, by whichever side. */
  replaced(now: number): void {
    this.before = undefined;
    this.flowed = false;
    this.curedAt = now;
  }

  private learn(signs: Signs, now: number): void {
    const { before } = this;
    this.before = signs;
    if (signs.connection === "connected" && !this.connected) {
      this.connected = true;
      this.bytesAt = this.aliveAt = now;
    }
    // A pair of its own has totals of its own: ICE that tries another one is no packet.
    if (!before || before.pairId !== signs.pairId) return;
    if (signs.bytesIn !== before.bytesIn) {
      this.bytesAt = this.aliveAt = now;
      this.flowed = true;
    }
    if (signs.responses !== before.responses) this.aliveAt = now;
  }

  private isDead({ ice, connection }: Signs, now: number): boolean {
    if (connection !== "connected" && connection !== "disconnected") return true;
    const isIceDown = ice === "disconnected" || ice === "failed";
    if (isIceDown) return now - this.bytesAt > 500;
    if (this.flowed && now - this.bytesAt > SILENCE_MS) return true;
    if (now - this.aliveAt > QUIET_MS) return true;
    // Dead until something arrives: ICE calls a path connected for a while after it has died.
    return this.ailing && this.aliveAt < this.curedAt;
  }

  private cure({ ice, connection }: Signs, now: number): Cure | undefined {
    const pause = PAUSES_MS[Math.min(this.cures, PAUSES_MS.length) - 1] ?? 0;
    if (now - this.curedAt < pause) return undefined;
    this.curedAt = now;
    this.cures += 1;
    this.flowed = false;
    // ICE is well and DTLS is not: no path helps.
    const isDtlsDown = connection === "failed" && (ice === "connected" || ice === "completed");
    return isDtlsDown || this.cures > RESTARTS ? "rebuild" : "restart";
  }

  private recovered(): undefined {
    if (this.aliveAt > this.curedAt) this.cures = 0;
    return undefined;
  }
}
