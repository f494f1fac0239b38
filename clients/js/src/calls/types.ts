/** What a page or an application uses of calls, and the wire's shapes behind it (docs/protocol.md, "Calls"). */

export type CallMedia = "audio" | "video";
export type Source = "mic" | "camera" | "screen" | "screen_audio";
export type CallState = "ringing" | "active" | "ended";
export type CallReason =
  | "hung_up"
  | "declined"
  | "no_answer"
  | "cancelled"
  | "busy"
  | "failed"
  | "answered_elsewhere";

export interface CallTrack {
  track_id: string;
  kind: CallMedia;
  source: Source;
  muted: boolean;
}

export interface Participant {
  user_id: string;
  device_id: string;
  tracks: CallTrack[];
}

/** `call` of the wire. */
export interface Call {
  id: string;
  room_id: string;
  media: CallMedia;
  mode: "p2p" | "sfu";
  generation: number;
  state: CallState;
  started_by: string;
  started_at: number;
  participants: Participant[];
  reason?: CallReason;
  /** Grows with every change: of two the higher is the newer, whichever came first. Other servers may have none. */
  revision?: number;
}

/** What came was said before `known`: answers and events travel apart. */
export function isOlder(call: Call, known: Call | undefined): boolean {
  return (call.revision ?? Infinity) < (known?.revision ?? 0);
}

/** Somebody calls: to be answered until `expires_at` (ms, the server's clock). */
export interface Ringing {
  call: Call;
  expires_at: number;
}

/** Which devices to take; an empty id or none means the system's choice. */
export interface MediaChoice {
  mic?: string;
  camera?: string;
  speaker?: string;
  /** Begin without sound, or without picture. */
  muted?: boolean;
  cameraOff?: boolean;
}

/**
 * `ringing`: nobody has answered. `connecting`: answered, no packets yet. `connected`. `reconnecting`: packets or the
 * server are lost, and it is being mended. `ended`: see `reason`.
 */
export type CallPhase = "ringing" | "connecting" | "connected" | "reconnecting" | "ended";

/** 0 (nothing arrives) to 4 (excellent), and why it is not better. */
export interface Quality {
  level: 0 | 1 | 2 | 3 | 4;
  reason?: "loss" | "delay" | "jitter" | "slow_network" | "slow_computer" | "reconnecting" | "relay";
  /** For people: "12 % of the packets are lost." */
  text?: string;
  rtt_ms?: number;
  jitter_ms?: number;
  /** 0..1, of what we receive. */
  loss?: number;
  bps_in?: number;
  bps_out?: number;
}

/** Somebody's picture or sound as it arrives here. */
export interface RemoteMedia {
  user_id: string;
  device_id: string;
  /** Play it in an audio element; absent until it arrives. */
  audio?: MediaStream;
  camera?: MediaStream;
  screen?: MediaStream;
  screenAudio?: MediaStream;
  /** As the other side says: `mic`, `camera`, … that are sent now. */
  sending: ReadonlySet<Source>;
}

/** The call that this device is in. Read it after each `change` of the client; commands reject with a HubbubError. */
export interface ActiveCall {
  readonly id: string;
  readonly roomId: string;
  readonly media: CallMedia;
  readonly phase: CallPhase;
  readonly reason: CallReason | undefined;
  /** Why picture or sound of one's own is missing: "The browser was not allowed to use the microphone." */
  readonly problem: string | undefined;
  readonly call: Call;
  /** ms of the server's clock; when the other side was first connected. */
  readonly connectedAt: number | undefined;
  readonly quality: Quality;
  readonly sending: ReadonlySet<Source>;
  /** The devices in use, as far as they were chosen. */
  readonly choice: MediaChoice;
  readonly localCamera: MediaStream | undefined;
  readonly localScreen: MediaStream | undefined;
  readonly remote: readonly RemoteMedia[];
  /** 0..1, of one's own microphone, for a meter. */
  level(): number;
  /** What the browser refuses to mute, camera, shareScreen and choose is told by `problem`. */
  mute(muted: boolean): Promise<void>;
  camera(on: boolean): Promise<void>;
  /** Asks the person which screen; with its sound where the browser can. */
  shareScreen(on: boolean): Promise<void>;
  /** Take another microphone or camera without ending anything. `speaker` is for the page's audio elements. */
  choose(choice: MediaChoice): Promise<void>;
  /** Restart ICE now. */
  reconnect(): void;
  leave(): Promise<void>;
  endForAll(): Promise<void>;
}

/** `client.calls`. Everything in it changes with the client's `change` event. */
export interface CallsApi {
  /** False: this server or this browser has no calls (`unavailableBecause` says why). */
  readonly available: boolean;
  /** For people, such as "Calls need a page that was loaded by https." */
  readonly unavailableBecause: string | undefined;
  /** The one this device is in, or that has just ended (until `dismiss`). */
  readonly current: ActiveCall | undefined;
  /** Who calls, the newest last; a device in a call hears of others here too. */
  readonly ringing: readonly Ringing[];
  /** The running call of a room, if there is one. */
  inRoom(roomId: string): Call | undefined;
  /** Whether a running call has a place for this person; else `accept` is refused, until somebody leaves. */
  hasPlace(call: Call): boolean;
  start(roomId: string, media: CallMedia, choice?: MediaChoice): Promise<ActiveCall>;
  /** Answer, join a running call, or with `takeOver` bring mine from another device to this one. */
  accept(callId: string, choice?: MediaChoice, takeOver?: boolean): Promise<ActiveCall>;
  decline(callId: string): Promise<void>;
  /** Forget the call that has ended. */
  dismiss(): void;
  /** Of a call that ended. @throws NotFound */
  qualityOf(callId: string): Promise<CallQuality>;
}

export interface CandidatePair {
  local: CandidateType;
  remote: CandidateType;
  protocol: "udp" | "tcp";
  relay_protocol?: "udp" | "tcp" | "tls";
}
export type CandidateType = "host" | "srflx" | "prflx" | "relay";

/** What a device measured in a stretch of time; differences, not totals. `at`: ms of the server's clock. */
export interface QualityWindow {
  at: number;
  ms: number;
  rtt_ms?: number;
  audio_received: number;
  audio_lost: number;
  audio_jitter_ms?: number;
  concealed_ms: number;
  video_received: number;
  video_lost: number;
  frames: number;
  freezes: number;
  freeze_ms: number;
  bps_in: number;
  bps_out: number;
  limited?: "cpu" | "bandwidth" | "other";
  reconnecting_ms: number;
  mos?: number;
}

export interface ParticipantQuality {
  user_id: string;
  device_id: string;
  setup_ms?: number;
  pair?: CandidatePair;
  rtt_ms?: number;
  jitter_ms?: number;
  loss?: number;
  concealed_ms: number;
  freezes: number;
  freeze_ms: number;
  reconnecting_ms: number;
  bps_in: number;
  bps_out: number;
  /** 1..4.5, ITU-T G.107. */
  mos?: number;
  verdict: "good" | "fair" | "bad" | "unknown";
  reasons: { reason: string; from: number; to: number; text: string }[];
  windows: QualityWindow[];
}

/** `GET /api/v1/calls/{id}/quality` */
export interface CallQuality {
  call_id: string;
  participants: ParticipantQuality[];
}

/**
 * What devices in a direct call send each other by `call:signal` (docs/calls-clients.md).
 *
 * `from` names the sender's peer connection, `to` the one that it is meant for, as far as the sender knows it: a page
 * that was loaded anew is the same device with another peer connection. Both may be absent.
 */
export type CallSignal = { from?: string; to?: string } & (
  | { type: "offer" | "answer"; sdp: string; sources?: Record<string, Source> }
  | { type: "candidate"; candidate: RTCIceCandidateInit | null }
);
