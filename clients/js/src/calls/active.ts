/** The call that this device is in: its devices, its connections, its line to the server, as one. */

import { Devices } from "./devices.js";
import { LocalMedia } from "./local_media.js";
import { Meter } from "./meter.js";
import { Monitor } from "./monitor.js";
import type { CallParts, Me } from "./parts.js";
import { Peer } from "./peer.js";
import { remotesOf } from "./remote.js";
import { Returning } from "./returning.js";
import { readSignal, SOURCES } from "./signal.js";
import { Signaler } from "./signaler.js";
import { Strangers } from "./strangers.js";
import { TrackTeller } from "./track_teller.js";
import {
  type ActiveCall,
  type Call,
  type CallPhase,
  type CallReason,
  isOlder,
  type MediaChoice,
  type Participant,
  type Quality,
  type RemoteMedia,
  type Source,
} from "./types.js";
import type { IceServer, Joined } from "./wire.js";

export interface ActiveListener {
  changed(): void;
  /** Over, by whichever side. `owed`: the server has not been told that this device left. */
  ended(call: JoinedCall, owed: boolean): void;
}

export interface JoinSettings {
  choice: MediaChoice;
  /** The server keeps a quality record. */
  reports: boolean;
}

export class JoinedCall implements ActiveCall {
  reason: CallReason | undefined;
  connectedAt: number | undefined;
  call: Call;
  private readonly local: LocalMedia;
  private readonly meter: Meter;
  private readonly signaler: Signaler;
  private readonly monitor: Monitor;
  private readonly line: Returning;
  private readonly teller: TrackTeller;
  private readonly peers = new Map<string, Peer>();
  private readonly strangers = new Strangers();
  private readonly shown = new Map<Source, MediaStream>();
  private configuration: RTCConfiguration = {};
  constructor(
    joined: Joined,
    settings: JoinSettings,
    private readonly me: Me,
    private readonly parts: CallParts,
    private readonly listener: ActiveListener,
  ) {
    const { environment, transport, clock } = parts;
    this.call = joined.call;
    this.configure(joined.ice_servers);
    this.signaler = new Signaler(joined.call.id, transport, clock);
    this.meter = new Meter(() => environment.audioContext(), (tracks) => environment.stream(tracks));
    this.monitor = new Monitor(joined.call.id, settings.reports, parts, {
      primary: () => this.primary(),
      peers: () => [...this.peers.values()],
      reconnecting: () => !this.over && this.connectedAt !== undefined && this.isCut,
      online: () => this.line.online,
      renew: () => this.renew(),
      changed: () => this.changed(),
    });
    this.local = new LocalMedia(new Devices(() => environment.devices), joined.call.media, settings.choice, {
      track: (source, track) => this.peers.forEach((peer) => peer.put(source, track)),
      changed: () => this.localChanged(),
    });
    this.line = new Returning(joined.call.id, parts, {
      back: (again) => this.back(again),
      over: (reason) => this.finish(reason),
    });
    this.teller = new TrackTeller(transport, () => this.trackState(), (call) => (this.call = call));
    if (joined.call.state === "ended") return; // busy: nobody is asked for a microphone
    this.follow(joined.call, "offer");
    void this.local.settle();
  }

  get id(): string {
    return this.call.id;
  }

  get roomId(): string {
    return this.call.room_id;
  }

  get media(): Call["media"] {
    return this.call.media;
  }

  get over(): boolean {
    return this.reason !== undefined;
  }

  get phase(): CallPhase {
    if (this.over) return "ended";
    if (this.call.state === "ringing") return this.line.online ? "ringing" : "reconnecting";
    if (this.connectedAt === undefined) return "connecting";
    return this.line.online && !this.isCut ? "connected" : "reconnecting";
  }

  /** No packets come. They may well come while the server cannot be reached. */
  private get isCut(): boolean {
    const peer = this.primary();
    return !peer?.connected || this.monitor.isAiling(peer);
  }

  get problem(): string | undefined {
    return this.local.problem;
  }

  get quality(): Quality {
    return this.monitor.record.now;
  }

  get choice(): MediaChoice {
    return this.local.choice;
  }

  get sending(): ReadonlySet<Source> {
    return this.local.sending;
  }

  get localCamera(): MediaStream | undefined {
    return this.localStream("camera");
  }

  get localScreen(): MediaStream | undefined {
    return this.localStream("screen");
  }

  get remote(): readonly RemoteMedia[] {
    return remotesOf(this.others(), this.peers);
  }

  level(): number {
    return this.meter.level(this.local.get("mic"));
  }

  async mute(muted: boolean): Promise<void> {
    this.local.mute(muted);
  }

  camera(on: boolean): Promise<void> {
    return this.local.camera(on);
  }

  shareScreen(on: boolean): Promise<void> {
    return this.local.share(on);
  }

  choose(choice: MediaChoice): Promise<void> {
    return this.local.choose(choice);
  }

  reconnect(): void {
    if (this.over) return;
    if (!this.line.online) this.parts.transport.retry();
    for (const peer of this.peers.values()) this.monitor.suspect(peer);
    this.changed();
  }

  async leave(): Promise<void> {
    if (this.over) return;
    this.finish(this.call.state === "ringing" ? "cancelled" : "hung_up", true);
  }

  async endForAll(): Promise<void> {
    await this.parts.transport.request("call:end", { call_id: this.id });
    this.finish("hung_up");
  }

  // ---- from the server -----------------------------------------------------------------------------

  /** `call:state` */
  told(call: Call): void {
    if (this.over || isOlder(call, this.call)) return;
    if (call.state === "ended") return this.finish(call.reason ?? "hung_up");
    const here = call.participants.some(({ device_id }) => device_id === this.me.deviceId);
    // While it asks to be let in again it may not be in yet.
    if (!here && this.line.asking) return;
    if (!here) return this.finish(call.reason ?? "failed");
    this.follow(call, "expect");
    this.changed();
  }

  signalled(fromDeviceId: string, signal: unknown): void {
    const read = readSignal(signal);
    if (!read) return;
    const peer = this.peers.get(fromDeviceId);
    if (peer) peer.receive(read);
    else this.strangers.keep(fromDeviceId, read, this.parts.clock.now());
  }

  disconnected(): void {
    if (this.over) return;
    this.line.lost();
    this.changed();
  }

  /** The line is back: this device comes back, with what it could not say meanwhile. */
  connected(): void {
    if (!this.over) void this.line.ask();
  }

  /** Another tab of this device has taken the call: it is told to nobody that this one stops. */
  movedToTab(): void {
    this.finish("answered_elsewhere");
  }

  /** The page goes away; it may come back within the server's grace. */
  pageLeaves(): void {
    this.monitor.flush();
  }

  /** The login is over, or the client stopped. */
  close(): void {
    this.finish("hung_up", true);
  }

  // ---- inside --------------------------------------------------------------------------------------

  private follow(call: Call, first: "offer" | "expect"): void {
    this.call = call;
    if (call.state === "active") this.monitor.accepted();
    const others = this.others();
    for (const peer of [...this.peers.values()]) {
      if (!others.some(({ device_id }) => device_id === peer.deviceId)) this.part(peer);
    }
    for (const participant of others) {
      if (!this.peers.has(participant.device_id)) this.meet(participant, first);
    }
    void this.teller.tell();
  }

  /** Who is there when this device comes gets its offer; who comes later offers. */
  private meet({ device_id: deviceId }: Participant, first: "offer" | "expect"): void {
    const { environment, clock } = this.parts;
    const polite = this.indexOf(this.me.deviceId) < this.indexOf(deviceId);
    const peer = new Peer({ deviceId, polite, configuration: this.configuration }, environment, clock, {
      send: (to, signal) => this.signaler.send(to, signal),
      replaced: () => this.signaler.forget(deviceId),
      changed: () => this.peerChanged(),
    });
    this.peers.set(deviceId, peer);
    for (const source of SOURCES) {
      const track = this.local.get(source);
      if (track) peer.put(source, track);
    }
    if (first === "offer") peer.begin();
    else peer.expect();
    for (const signal of this.strangers.take(deviceId, clock.now())) peer.receive(signal);
  }

  private part(peer: Peer): void {
    this.peers.delete(peer.deviceId);
    this.monitor.forget(peer);
    peer.close();
  }

  /** One's own other devices are no company. */
  private others(): Participant[] {
    return this.call.participants.filter(({ user_id }) => user_id !== this.me.userId);
  }

  private indexOf(deviceId: string): number {
    return this.call.participants.findIndex(({ device_id }) => device_id === deviceId);
  }

  private primary(): Peer | undefined {
    const peers = [...this.peers.values()];
    return peers.reverse().find((peer) => peer.connected) ?? peers[0];
  }

  /** The same object as long as it is the same track: a page compares. */
  private localStream(source: Source): MediaStream | undefined {
    const track = this.local.get(source);
    if (!track) return undefined;
    const known = this.shown.get(source);
    if (known?.getTracks()[0] === track) return known;
    const stream = this.parts.environment.stream([track]);
    this.shown.set(source, stream);
    return stream;
  }

  private configure(servers: readonly IceServer[]): void {
    this.configuration = {
      iceServers: servers.map((server) => ({ ...server })),
      iceTransportPolicy: this.parts.iceTransportPolicy,
      bundlePolicy: "max-bundle",
      rtcpMuxPolicy: "require",
    };
    for (const peer of this.peers.values()) peer.configure(this.configuration);
  }

  private back({ call, ice_servers }: Joined): void {
    if (this.over) return;
    this.configure(ice_servers);
    if (call.state === "ended") return this.finish(call.reason ?? "hung_up");
    if (!isOlder(call, this.call)) this.follow(call, "expect");
    this.signaler.flush();
    for (const peer of this.peers.values()) {
      if (peer.unanswered || this.monitor.isAiling(peer)) this.monitor.suspect(peer);
    }
    this.changed();
  }

  private async renew(): Promise<void> {
    const joined = await this.line.renew();
    if (joined && !this.over) this.configure(joined.ice_servers);
  }

  private peerChanged(): void {
    if (this.primary()?.connected) this.connectedAt ??= this.parts.serverClock.now();
    this.changed();
  }

  private localChanged(): void {
    void this.teller.tell();
    this.changed();
  }

  private trackState(): { call: Call; deviceId: string; sending: ReadonlySet<Source> } | undefined {
    if (this.over || !this.local.settled) return undefined;
    return { call: this.call, deviceId: this.me.deviceId, sending: this.sending };
  }

  private finish(reason: CallReason, owed = false): void {
    if (this.over) return;
    this.reason = reason;
    this.line.close();
    this.monitor.close();
    this.signaler.close();
    for (const peer of [...this.peers.values()]) peer.close();
    this.local.close();
    this.meter.close();
    this.listener.ended(this, owed);
    this.changed();
  }

  private changed(): void {
    this.listener.changed();
  }
}
