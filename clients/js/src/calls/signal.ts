/** Reads what another device sent by `call:signal`: any JSON may come, and what is none of ours is nothing. */

import type { CallSignal, Source } from "./types.js";

/** The server carries at most 64 KiB. */
const MAX_SDP = 65_536;
const MAX_CANDIDATE = 1_024;
/** Four of ours, and room for what a foreign client keeps as rejected ones. */
const MAX_MEDIA_LINES = 24;
const MAX_ID = 64;

export const SOURCES: readonly Source[] = ["mic", "camera", "screen", "screen_audio"];

export const KINDS: Readonly<Record<Source, "audio" | "video">> = {
  mic: "audio",
  camera: "video",
  screen: "video",
  screen_audio: "audio",
};

export function readSignal(signal: unknown): CallSignal | undefined {
  if (!isRecord(signal)) return undefined;
  const ends = { ...id("from", signal["from"]), ...id("to", signal["to"]) };
  const { type, sdp, candidate } = signal;
  if (type === "offer" || type === "answer") {
    if (typeof sdp !== "string" || !isSdp(sdp)) return undefined;
    return { type, sdp, sources: readSources(signal["sources"]), ...ends };
  }
  if (type !== "candidate" || candidate === undefined) return undefined;
  if (candidate === null) return { type, candidate, ...ends };
  const read = readCandidate(candidate);
  return read && { type, candidate: read, ...ends };
}

/** Tells one peer connection of a device from the next: its certificates, which it keeps for life. */
export function fingerprintsOf(sdp: string): string {
  const lines = sdp.match(/^a=fingerprint:.+$/gm) ?? [];
  return [...new Set(lines.map((line) => line.trim().toLowerCase()))].sort().join();
}

function isSdp(sdp: string): boolean {
  if (!sdp.startsWith("v=0") || sdp.length > MAX_SDP) return false;
  return (sdp.match(/^m=/gm) ?? []).length <= MAX_MEDIA_LINES;
}

function readSources(value: unknown): Record<string, Source> {
  if (!isRecord(value)) return {};
  const known = Object.entries(value).filter(
    ([mid, source]) => mid.length <= MAX_ID && SOURCES.includes(source as Source),
  );
  return Object.fromEntries(known.slice(0, MAX_MEDIA_LINES)) as Record<string, Source>;
}

function readCandidate(value: unknown): RTCIceCandidateInit | undefined {
  if (!isRecord(value)) return undefined;
  const { candidate, sdpMid, sdpMLineIndex, usernameFragment } = value;
  if (typeof candidate !== "string" || candidate.length > MAX_CANDIDATE) return undefined;
  const read: RTCIceCandidateInit = { candidate };
  if (isShort(sdpMid)) read.sdpMid = sdpMid;
  if (Number.isInteger(sdpMLineIndex) && (sdpMLineIndex as number) >= 0) {
    read.sdpMLineIndex = Math.min(sdpMLineIndex as number, MAX_MEDIA_LINES);
  }
  if (isShort(usernameFragment, 256)) read.usernameFragment = usernameFragment;
  // Without a line it belongs to the only transport that there is.
  if (read.sdpMid === undefined && read.sdpMLineIndex === undefined) read.sdpMLineIndex = 0;
  return read;
}

function id<Name extends "from" | "to">(name: Name, value: unknown): { [K in Name]?: string } {
  return isShort(value) && value !== "" ? ({ [name]: value } as { [K in Name]?: string }) : {};
}

function isShort(value: unknown, most = MAX_ID): value is string {
  return typeof value === "string" && value.length <= most;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
