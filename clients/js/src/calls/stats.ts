/** Reads what browsers measure (W3C webrtc-stats) into the few numbers that calls use. All are totals. */

import type { CandidatePair, CandidateType } from "./types.js";

export interface Totals {
  bytesIn: number;
  bytesOut: number;
  responses: number;
  audio_received: number;
  audio_lost: number;
  concealed_ms: number;
  video_received: number;
  video_lost: number;
  frames: number;
  freezes: number;
  freeze_ms: number;
}

export interface Sample {
  totals: Totals;
  rtt_ms?: number;
  audio_jitter_ms?: number;
  limited?: "cpu" | "bandwidth" | "other";
  pair?: CandidatePair;
  /** The pair in use, as the browser names it. */
  pairId?: string;
}

/**
 * bit/s. Encoders call themselves limited by bandwidth also by the bound that we set; below this it is the network that
 * lets nothing better through.
 */
const SLOW_NETWORK_BPS = 700_000;

type Stat = Record<string, unknown> & { type: string };

export const NOTHING: Totals = {
  bytesIn: 0,
  bytesOut: 0,
  responses: 0,
  audio_received: 0,
  audio_lost: 0,
  concealed_ms: 0,
  video_received: 0,
  video_lost: 0,
  frames: 0,
  freezes: 0,
  freeze_ms: 0,
};

export function readStats(report: RTCStatsReport): Sample {
  const stats = new Map<string, Stat>();
  report.forEach((stat: Stat, id: string) => stats.set(id, stat));
  const sample: Sample = { totals: { ...NOTHING } };
  const pair = chosenPair(stats);
  if (pair) readPair(sample, pair, stats);
  const available = number(pair ?? { type: "" }, "availableOutgoingBitrate");
  for (const stat of stats.values()) {
    if (stat.type === "inbound-rtp") readInbound(sample, stat);
    else if (stat.type === "outbound-rtp") readOutbound(sample, stat, available < SLOW_NETWORK_BPS);
  }
  return sample;
}

/** The transport names it; Firefox marks it. */
function chosenPair(stats: ReadonlyMap<string, Stat>): Stat | undefined {
  const all = [...stats.values()];
  for (const { type, selectedCandidatePairId } of all) {
    if (type === "transport" && typeof selectedCandidatePairId === "string") return stats.get(selectedCandidatePairId);
  }
  const pairs = all.filter(({ type }) => type === "candidate-pair");
  return (
    pairs.find(({ selected }) => selected === true) ??
    pairs.find(({ nominated, state }) => nominated === true && state === "succeeded")
  );
}

function readPair(sample: Sample, pair: Stat, stats: ReadonlyMap<string, Stat>): void {
  const { totals } = sample;
  if (typeof pair["id"] === "string") sample.pairId = pair["id"];
  totals.bytesIn = number(pair, "bytesReceived");
  totals.bytesOut = number(pair, "bytesSent");
  totals.responses = number(pair, "responsesReceived");
  if (typeof pair["currentRoundTripTime"] === "number") sample.rtt_ms = round(number(pair, "currentRoundTripTime"));
  const local = stats.get(String(pair["localCandidateId"]));
  const remote = stats.get(String(pair["remoteCandidateId"]));
  const [here, there] = [candidateType(local), candidateType(remote)];
  if (!here || !there) return;
  const relay = local?.["relayProtocol"];
  sample.pair = {
    local: here,
    remote: there,
    protocol: local?.["protocol"] === "tcp" ? "tcp" : "udp",
    ...(here === "relay" && (relay === "udp" || relay === "tcp" || relay === "tls") && { relay_protocol: relay }),
  };
}

function readInbound(sample: Sample, stat: Stat): void {
  const { totals } = sample;
  const [received, lost] = [number(stat, "packetsReceived"), number(stat, "packetsLost")];
  if (stat["kind"] === "audio") {
    totals.audio_received += received;
    totals.audio_lost += lost;
    totals.concealed_ms += concealedMs(stat);
    if (typeof stat["jitter"] === "number" && received > 0) {
      sample.audio_jitter_ms = Math.max(sample.audio_jitter_ms ?? 0, round(stat["jitter"]));
    }
  } else {
    totals.video_received += received;
    totals.video_lost += lost;
    totals.frames += number(stat, "framesDecoded");
    totals.freezes += number(stat, "freezeCount");
    totals.freeze_ms += round(number(stat, "totalFreezesDuration"));
  }
}

function readOutbound(sample: Sample, stat: Stat, isSlow: boolean): void {
  const reason = stat["qualityLimitationReason"];
  if (stat["kind"] !== "video" || (reason === "bandwidth" && !isSlow)) return;
  if (reason === "cpu" || reason === "bandwidth" || reason === "other") sample.limited = reason;
}

/** What was made up because it was missing; silence that was to be made up is left out. */
function concealedMs(stat: Stat): number {
  const concealed = number(stat, "concealedSamples") - number(stat, "silentConcealedSamples");
  const [samples, seconds] = [number(stat, "totalSamplesReceived"), number(stat, "totalSamplesDuration")];
  if (concealed <= 0 || samples <= 0) return 0;
  return round((concealed / samples) * (seconds || samples / 48_000));
}

function candidateType(stat: Stat | undefined): CandidateType | undefined {
  const type = stat?.["candidateType"];
  return type === "host" || type === "srflx" || type === "prflx" || type === "relay" ? type : undefined;
}

function number(stat: Stat, name: string): number {
  const value = stat[name];
  return typeof value === "number" && Number.isFinite(value) && value > 0 ? value : 0;
}

/** Seconds to whole milliseconds. */
function round(seconds: number): number {
  return Math.round(seconds * 1_000);
}
