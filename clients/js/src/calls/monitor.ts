/** Looks at the connections of a call twice a second: mends those that are dead, keeps the record of their quality. */

import type { CallParts } from "./parts.js";
import type { Peer } from "./peer.js";
import { QualityRecord, type Seen } from "./quality.js";
import { type Cure, Recovery, type Signs } from "./recovery.js";
import { readStats, type Sample } from "./stats.js";

const LOOK_MS = 500;
/** Until the first packet, which is what the setup is measured by; but not for ever. */
const FIRST_LOOK_MS = 50;
const FIRST_LOOKS_MS = 5_000;
/** Statistics that take longer than this are none: the browser is busy. */
const STATS_LIMIT_MS = 2_000;
const SAMPLE_MS = 1_000;
const REPORT_MS = 10_000;

export interface MonitorListener {
  /** The one whose quality is told. */
  primary(): Peer | undefined;
  peers(): readonly Peer[];
  /** Packets came, and come no more. */
  reconnecting(): boolean;
  /** The server can be reached: without it packets may go on. */
  online(): boolean;
  /** Ask the server anew where its relays are. */
  renew(): Promise<void>;
  changed(): void;
}

export class Monitor {
  readonly record = new QualityRecord();
  /** ms from the accept to the first packet. */
  setupMs: number | undefined;
  /** This machine's clock; undefined while it still rings. */
  private acceptedAt: number | undefined;
  private readonly patients = new Map<Peer, { recovery: Recovery; life: number }>();
  private timer: unknown;
  private sampledAt = 0;
  /** Measured since then: a call may end before a second is over. */
  private unsampled: Seen | undefined;
  private reportedAt: number;
  private reporting = false;
  private closed = false;

  constructor(
    private readonly callId: string,
    /** False: the server keeps no record. */
    private readonly reports: boolean,
    private readonly parts: CallParts,
    private readonly listener: MonitorListener,
  ) {
    this.reportedAt = parts.clock.now();
    this.next();
  }

  /** Packets of this one are lost. */
  isAiling(peer: Peer): boolean {
    return this.patients.get(peer)?.recovery.ailing ?? false;
  }

  accepted(): void {
    if (this.acceptedAt !== undefined) return;
    this.acceptedAt = this.parts.clock.now();
    this.record.begin(this.parts.serverClock.now());
  }

  forget(peer: Peer): void {
    this.patients.delete(peer);
  }

  /** Do not wait for silence. */
  suspect(peer: Peer): void {
    const { recovery } = this.patient(peer);
    const signs = { ...signsOf(peer), bytesIn: 0, responses: 0 };
    void this.treat(peer, recovery.suspect(signs, this.parts.clock.now()));
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.parts.clock.clearTimeout(this.timer);
    void this.report(true);
  }

  /** The page goes away: what was measured is told now. */
  flush(): void {
    void this.report(true);
  }

  private next(): void {
    const { clock } = this.parts;
    const isSettingUp =
      this.setupMs === undefined && this.acceptedAt !== undefined && clock.now() - this.acceptedAt < FIRST_LOOKS_MS;
    this.timer = clock.setTimeout(
      () => void this.look().finally(() => !this.closed && this.next()),
      isSettingUp ? FIRST_LOOK_MS : LOOK_MS,
    );
  }

  private async look(): Promise<void> {
    const primary = this.listener.primary();
    for (const peer of this.listener.peers()) {
      const sample = await this.measure(peer);
      if (this.closed) return;
      if (sample) this.judge(peer, sample, peer === primary);
    }
    if (this.parts.clock.now() - this.reportedAt >= REPORT_MS) void this.report(false);
  }

  private async measure(peer: Peer): Promise<Sample | undefined> {
    let timer: unknown;
    const late = new Promise<undefined>((resolve) => {
      timer = this.parts.clock.setTimeout(() => resolve(undefined), STATS_LIMIT_MS);
    });
    try {
      const report = await Promise.race([peer.connection.getStats(), late]);
      return report && readStats(report);
    } catch {
      return undefined;
    } finally {
      this.parts.clock.clearTimeout(timer);
    }
  }

  private judge(peer: Peer, sample: Sample, isPrimary: boolean): void {
    const now = this.parts.clock.now();
    const { recovery } = this.patient(peer);
    const was = recovery.ailing;
    const { bytesIn, responses } = sample.totals;
    const signs = { ...signsOf(peer), pairId: sample.pairId, bytesIn, responses };
    const cure = recovery.see(signs, now, this.listener.online());
    if (cure) void this.treat(peer, cure, recovery.stubborn);
    if (isPrimary) this.keep(peer, sample, now);
    if (was !== recovery.ailing) this.listener.changed();
  }

  private keep(peer: Peer, sample: Sample, now: number): void {
    const { audio_received, frames } = sample.totals;
    if (this.acceptedAt !== undefined && audio_received + frames > 0) this.setupMs ??= now - this.acceptedAt;
    const at = this.parts.serverClock.now();
    this.unsampled = { sample, life: peer.life, at, reconnecting: this.listener.reconnecting() };
    if (now - this.sampledAt < SAMPLE_MS) return;
    this.sampledAt = now;
    this.see();
    this.listener.changed();
  }

  private see(): void {
    if (this.unsampled) this.record.see(this.unsampled);
    this.unsampled = undefined;
  }

  private async treat(peer: Peer, cure: Cure, stubborn = false): Promise<void> {
    if (stubborn) await this.listener.renew();
    if (this.closed) return;
    if (cure === "rebuild") peer.rebuild();
    else peer.restartIce();
  }

  private patient(peer: Peer): { recovery: Recovery; life: number } {
    const now = this.parts.clock.now();
    const known = this.patients.get(peer) ?? { recovery: new Recovery(now), life: peer.life };
    this.patients.set(peer, known);
    if (known.life !== peer.life) known.recovery.replaced(now);
    known.life = peer.life;
    return known;
  }

  private async report(last: boolean): Promise<void> {
    if (last) this.see();
    const windows = this.record.ready(last);
    // The last one waits for no other: what the server is told twice counts once.
    if (!this.reports || windows.length === 0 || (this.reporting && !last)) return;
    this.reportedAt = this.parts.clock.now();
    this.reporting = true;
    const { setupMs } = this;
    const { pair } = this.record;
    const report = { ...(setupMs !== undefined && { setup_ms: setupMs }), ...(pair && { pair }), windows };
    try {
      await this.parts.api.reportQuality(this.callId, report, last);
      this.record.sent(windows);
    } catch {
      // With the next report, as long as there is one.
    } finally {
      this.reporting = false;
    }
  }
}

function signsOf(peer: Peer): Omit<Signs, "bytesIn" | "responses"> {
  const { iceConnectionState: ice, connectionState: connection } = peer.connection;
  return { ice, connection };
}
