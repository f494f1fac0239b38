/** From samples, one a second: how good the call is now, and the windows of the quality record. No I/O. */

import { NOTHING, type Sample, type Totals } from "./stats.js";
import type { CandidatePair, Quality, QualityWindow } from "./types.js";

const WINDOW_MS = 10_000;
/** As many as the server takes at once; what it did not get by then is lost. */
const MAX_WINDOWS = 30;
/** Loss is judged over so many samples: over one second a few packets would be a third. */
const RECENT = 4;
/** A connection begins slowly and finds out what the network carries: so many samples are no verdict on it. */
const WARMING_UP = 10;
/** No peer connection's life. */
const UNBORN = -1;

export interface Seen {
  sample: Sample;
  /** Grows with the peer connection: its totals start anew. */
  life: number;
  /** ms of the server's clock. */
  at: number;
  reconnecting: boolean;
}

interface Step {
  ms: number;
  change: Totals;
  sample: Sample;
}

export class QualityRecord {
  now: Quality = { level: 4 };
  pair: CandidatePair | undefined;
  private windows: QualityWindow[] = [];
  private open: QualityWindow | undefined;
  private rtts: number[] = [];
  private jitters: number[] = [];
  /** ms of the open window, by reason. */
  private limits = new Map<NonNullable<Sample["limited"]>, number>();
  private before: Seen | undefined;
  private recent: Step[] = [];
  private limitedFor = 0;

  /** From here on: without it from the first sample on. */
  begin(at: number): void {
    this.before ??= { sample: { totals: NOTHING }, life: UNBORN, at, reconnecting: false };
  }

  see(seen: Seen): void {
    const { before } = this;
    this.before = seen;
    this.pair = seen.sample.pair ?? this.pair;
    if (!before) return;
    const base = before.life === seen.life ? before.sample.totals : NOTHING;
    const step = { ms: seen.at - before.at, change: change(base, seen.sample.totals), sample: seen.sample };
    if (step.ms <= 0) return;
    this.recent = [...this.recent, step].slice(-RECENT);
    this.limitedFor = seen.sample.limited ? this.limitedFor + 1 : 0;
    this.now = judge(this.recent, { reconnecting: seen.reconnecting, limited: this.limitedFor > WARMING_UP });
    this.count(before.at, step, seen.reconnecting);
  }

  /** The windows that are complete, and with `last` the one that is not. They stay until `sent`. */
  ready(last: boolean): readonly QualityWindow[] {
    if (last && this.open) this.close();
    return this.windows;
  }

  sent(windows: readonly QualityWindow[]): void {
    this.windows = this.windows.filter((window) => !windows.includes(window));
  }

  private count(at: number, { ms, change, sample }: Step, reconnecting: boolean): void {
    const window = (this.open ??= emptyWindow(at));
    // bps_in and bps_out hold bytes until the window is closed.
    window.bps_in += change.bytesIn;
    window.bps_out += change.bytesOut;
    for (const name of COUNTED) window[name] += change[name];
    window.ms += ms;
    if (reconnecting) window.reconnecting_ms += ms;
    if (sample.limited) this.limits.set(sample.limited, (this.limits.get(sample.limited) ?? 0) + ms);
    if (sample.rtt_ms !== undefined) this.rtts.push(sample.rtt_ms);
    if (sample.audio_jitter_ms !== undefined) this.jitters.push(sample.audio_jitter_ms);
    if (window.ms >= WINDOW_MS) this.close();
  }

  private close(): void {
    const window = this.open!;
    window.bps_in = Math.round((window.bps_in * 8_000) / window.ms);
    window.bps_out = Math.round((window.bps_out * 8_000) / window.ms);
    if (this.rtts.length > 0) window.rtt_ms = mean(this.rtts);
    if (this.jitters.length > 0) window.audio_jitter_ms = mean(this.jitters);
    // Encoders feel their way up again and again: a moment of it says nothing of the window.
    for (const [reason, ms] of this.limits) if (2 * ms > window.ms) window.limited = reason;
    this.windows = [...this.windows, window].slice(-MAX_WINDOWS);
    this.open = undefined;
    this.rtts = [];
    this.jitters = [];
    this.limits.clear();
  }
}

const COUNTED = [
  "audio_received",
  "audio_lost",
  "concealed_ms",
  "video_received",
  "video_lost",
  "frames",
  "freezes",
  "freeze_ms",
] as const;

function emptyWindow(at: number): QualityWindow {
  return {
    at,
    ms: 0,
    audio_received: 0,
    audio_lost: 0,
    concealed_ms: 0,
    video_received: 0,
    video_lost: 0,
    frames: 0,
    freezes: 0,
    freeze_ms: 0,
    bps_in: 0,
    bps_out: 0,
    reconnecting_ms: 0,
  };
}

/** Totals may fall: late packets make up for lost ones. */
function change(before: Totals, now: Totals): Totals {
  const difference = { ...NOTHING };
  for (const name of Object.keys(NOTHING) as (keyof Totals)[]) {
    difference[name] = Math.max(0, now[name] - before[name]);
  }
  return difference;
}

/** Bounds of the levels 4, 3 and 2. After ITU-T G.114 for the delay; loss as opus and VP8 are heard and seen. */
const BOUNDS = { loss: [0.01, 0.03, 0.08], delay: [200, 400, 800], jitter: [30, 60, 120] } as const;

function judge(recent: readonly Step[], { reconnecting, limited }: { reconnecting: boolean; limited: boolean }): Quality {
  const { sample } = recent[recent.length - 1]!;
  const sum = (count: (change: Totals) => number) => recent.reduce((all, step) => all + count(step.change), 0);
  const ms = recent.reduce((all, step) => all + step.ms, 0);
  const received = sum((each) => each.audio_received + each.video_received);
  const lost = sum((each) => each.audio_lost + each.video_lost);
  const measured = {
    ...(sample.rtt_ms !== undefined && { rtt_ms: sample.rtt_ms }),
    ...(sample.audio_jitter_ms !== undefined && { jitter_ms: sample.audio_jitter_ms }),
    ...(received + lost > 0 && { loss: lost / (received + lost) }),
    bps_in: Math.round((sum((each) => each.bytesIn) * 8_000) / ms),
    bps_out: Math.round((sum((each) => each.bytesOut) * 8_000) / ms),
  };
  if (reconnecting) return { level: 0, reason: "reconnecting", text: "The connection is being restored.", ...measured };
  return { ...worst(measured, sample.pair, limited ? sample.limited : undefined), ...measured };
}

function worst(measured: Partial<Quality>, pair: Sample["pair"], limited: Sample["limited"]): Quality {
  const { loss = 0, rtt_ms = 0, jitter_ms = 0 } = measured;
  const verdicts: Quality[] = [
    { level: level(loss, BOUNDS.loss), reason: "loss", text: `${Math.round(loss * 100)} % of the packets are lost.` },
    { level: level(rtt_ms, BOUNDS.delay), reason: "delay", text: `The way there and back takes ${rtt_ms} ms.` },
    { level: level(jitter_ms, BOUNDS.jitter), reason: "jitter", text: "The packets arrive unevenly." },
  ];
  if (limited === "cpu") {
    verdicts.push({ level: 3, reason: "slow_computer", text: "This computer is too slow for a better picture." });
  }
  if (limited === "bandwidth") {
    verdicts.push({ level: 3, reason: "slow_network", text: "The network is too slow for a better picture." });
  }
  const found = verdicts.reduce((one, other) => (other.level < one.level ? other : one));
  if (found.level === 4) return { level: 4 };
  if (found.reason !== "delay" || pair?.local !== "relay") return found;
  return { ...found, reason: "relay", text: `${found.text} It leads through a relay.` };
}

function level(value: number, [best, good, fair]: readonly [number, number, number]): 1 | 2 | 3 | 4 {
  return value <= best ? 4 : value <= good ? 3 : value <= fair ? 2 : 1;
}

function mean(values: readonly number[]): number {
  return Math.round(values.reduce((all, value) => all + value, 0) / values.length);
}
