/** Calls in words: how one ended, how long it was, which way its packets went. Pure. */

import type { CallMedia, CallReason, CandidatePair, LogEvent, ParticipantQuality } from "@hubbub/client";

/** A `call` event of a room's log. */
export interface CallRecord {
  callId: string;
  roomId: string;
  seq: number;
  /** ms, the server's clock: when it ended. */
  at: number;
  media: CallMedia;
  outcome: CallReason;
  startedBy: string;
  userIds: string[];
  /** From the moment that a second person was in, ms; 0: nobody answered. */
  talkMs: number;
}

interface Attendance {
  user_id: string;
  joined_at: number;
}

/** Undefined: this is no call, or one that a newer server tells in another shape. */
export function recordOf(
  event: Pick<LogEvent, "seq" | "at" | "sender_id" | "type" | "content">,
  roomId: string,
): CallRecord | undefined {
  const content = event.content;
  if (event.type !== "call" || !content || typeof content["call_id"] !== "string") return undefined;
  const endedAt = Number(content["ended_at"] ?? event.at);
  const present = (Array.isArray(content["participants"]) ? content["participants"] : []) as Attendance[];
  const firstJoins = new Map<string, number>();
  for (const { user_id, joined_at } of present) {
    firstJoins.set(user_id, Math.min(firstJoins.get(user_id) ?? Infinity, Number(joined_at)));
  }
  const answeredAt = [...firstJoins.values()].sort((a, b) => a - b)[1];
  return {
    callId: content["call_id"],
    roomId,
    seq: event.seq,
    at: endedAt,
    media: content["media"] === "video" ? "video" : "audio",
    outcome: content["outcome"] as CallReason,
    startedBy: event.sender_id,
    userIds: [...firstJoins.keys()],
    talkMs: answeredAt === undefined ? 0 : Math.max(endedAt - answeredAt, 0),
  };
}

/** Somebody called, this person neither joined nor declined. */
export function wasMissed(record: CallRecord, me: string | undefined): boolean {
  if (record.startedBy === me || me === undefined || record.userIds.includes(me)) return false;
  return record.outcome !== "declined";
}

/** 192 000 -> "3:12" */
export function clockOf(ms: number): string {
  const seconds = Math.max(Math.floor(ms / 1000), 0);
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const two = (count: number) => String(count).padStart(2, "0");
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

export function kindOf(media: CallMedia): string {
  return media === "video" ? "video call" : "call";
}

/** Said where a call runs that has no place left. */
export const FULL = "This server connects two at a time: you can join when one of them has left.";

const capital = (words: string) => words.charAt(0).toUpperCase() + words.slice(1);

const UNANSWERED: Partial<Record<CallReason, string>> = {
  no_answer: "no answer",
  declined: "declined",
  cancelled: "cancelled",
  busy: "busy",
  failed: "not connected",
};

/** A line for a list: "Missed video call", "Call, 3:12", "Video call, no answer". */
export function recordWords(record: CallRecord, me: string | undefined): string {
  const kind = kindOf(record.media);
  if (wasMissed(record, me)) return `Missed ${kind}`;
  if (record.talkMs > 0) return capital(`${kind}, ${clockOf(record.talkMs)}`);
  if (record.startedBy !== me && record.outcome === "declined") return `Declined ${kind}`;
  const why = UNANSWERED[record.outcome];
  return capital(why ? `${kind}, ${why}` : kind);
}

export interface Ending {
  reason: CallReason | undefined;
  /** The other one, or the group. */
  name: string;
  direct: boolean;
  /** This person called. */
  mine: boolean;
  /** This person pressed the button. */
  byMe: boolean;
}

/** Why a call is over, to somebody who was in it. */
export function endWords({ reason, name, direct, mine, byMe }: Ending): string {
  switch (reason) {
    case "declined":
      return direct ? `${name} declined.` : "Nobody took the call.";
    case "no_answer":
      return direct && mine ? `${name} did not answer.` : "Nobody answered.";
    case "cancelled":
      return mine || byMe ? "You stopped calling." : `${name} stopped calling.`;
    case "busy":
      return direct ? `${name} is in another call.` : "Everybody is in another call.";
    case "failed":
      return "The connection was lost and did not come back.";
    case "answered_elsewhere":
      return "The call goes on at another of your devices.";
    default:
      if (byMe) return "You hung up.";
      return direct ? `${name} hung up.` : "The call is over.";
  }
}

export const LEVELS = ["nothing arrives", "bad", "fair", "good", "very good"] as const;

/** Which way the packets took, and what that says of the network. */
export function pairWords(pair: CandidatePair): string {
  if (pair.local !== "relay" && pair.remote !== "relay") {
    if (pair.protocol === "tcp") return "Directly over TCP: a firewall seems to block UDP.";
    return pair.local === "host" && pair.remote === "host"
      ? "Directly, within one network, over UDP."
      : "Directly, through the routers between, over UDP.";
  }
  if (pair.local !== "relay") return "Through the other side's relay.";
  switch (pair.relay_protocol ?? pair.protocol) {
    case "tls":
      return "Through our relay over TLS: a firewall lets out nothing but encrypted web traffic.";
    case "tcp":
      return "Through our relay over TCP: a firewall blocks UDP.";
    default:
      return "Through our relay over UDP: the routers between allow no direct way.";
  }
}

export const VERDICTS: Record<ParticipantQuality["verdict"], string> = {
  good: "Good",
  fair: "Fair",
  bad: "Bad",
  unknown: "Not measured",
};

/** 1 234 567 -> "1.2 Mbit/s" */
export function rateOf(bps: number): string {
  if (bps >= 1_000_000) return `${(bps / 1_000_000).toFixed(1)} Mbit/s`;
  return `${Math.round(bps / 1000)} kbit/s`;
}

export function percentOf(share: number): string {
  const percent = share * 100;
  return `${percent < 10 ? percent.toFixed(1) : Math.round(percent)} %`;
}
