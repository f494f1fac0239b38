/**
 * WebRTC in memory: peer connections that negotiate by (short) SDP, roll back, restart ICE, find each other over a network
 * that can be cut, and count what arrives in virtual time. Devices that can be refused and pulled out.
 */

import type { CallEnvironment, PageListener, TabChannel } from "../src/calls/environment.js";
import type { Clock } from "../src/clock.js";

/** As browsers do: ICE says so late. */
const DISCONNECTED_MS = 5_000;
const FAILED_MS = 15_000;
const BYTES_PER_MS = 8;

let serial = 0;
const next = (name: string) => `${name}${(serial += 1)}`;

export class FakeTrack {
  enabled = true;
  muted = false;
  contentHint = "";
  readyState: "live" | "ended" = "live";
  onended: (() => void) | null = null;
  onunmute: (() => void) | null = null;
  readonly id = next("track-");

  constructor(
    readonly kind: "audio" | "video",
    readonly label = "",
  ) {}

  stop(): void {
    this.readyState = "ended";
  }

  /** Pulled out, or ended by the browser's own button. */
  end(): void {
    this.readyState = "ended";
    this.onended?.();
  }
}

export class FakeStream {
  constructor(readonly tracks: readonly FakeTrack[]) {}
  getTracks = () => [...this.tracks];
  getAudioTracks = () => this.tracks.filter(({ kind }) => kind === "audio");
  getVideoTracks = () => this.tracks.filter(({ kind }) => kind === "video");
}

class FakeTransceiver {
  mid: string | null = null;
  currentDirection: string | null = null;
  /** Named in the pending offer only: a rollback takes the name away. */
  pending = false;
  readonly receiver: { track: FakeTrack };
  readonly sender = {
    track: null as FakeTrack | null,
    encodings: [{}] as Record<string, unknown>[],
    replaceTrack: async (track: FakeTrack | null): Promise<void> => {
      this.sender.track = track;
      this.owner.network.look();
    },
    getParameters: () => ({ encodings: this.sender.encodings.map((each) => ({ ...each })) }),
    setParameters: async (parameters: { encodings: Record<string, unknown>[] }): Promise<void> => {
      this.sender.encodings = parameters.encodings;
    },
  };

  constructor(
    readonly owner: FakePeerConnection,
    readonly kind: "audio" | "video",
    public direction: string,
  ) {
    this.receiver = { track: new FakeTrack(kind) };
    this.receiver.track.muted = true;
  }
}

interface Description {
  type: "offer" | "answer";
  sdp: string;
}

interface Pair {
  peer: FakePeerConnection;
  /** Both sides' credentials: with the same ones it is the same pair, dead or alive. */
  key: string;
  age: number;
}

export class FakePeerConnection {
  onnegotiationneeded: (() => void) | null = null;
  onicecandidate: ((event: { candidate: unknown }) => void) | null = null;
  onconnectionstatechange: (() => void) | null = null;
  signalingState: RTCSignalingState = "stable";
  connectionState: RTCPeerConnectionState = "new";
  iceConnectionState: RTCIceConnectionState = "new";
  localDescription: Description | null = null;
  remoteDescription: Description | null = null;
  readonly transceivers: FakeTransceiver[] = [];
  readonly fingerprint = next("AB:CD:");
  ufrag = next("u");
  remoteUfrag = "";
  /** ICE credentials whose candidates are known here. */
  readonly reachable = new Set<string>();
  pair: Pair | undefined;
  bytesIn = 0;
  responses = 0;
  /** Candidates that it was given. */
  given = 0;
  private stable: { local: Description | null; remote: Description | null } = { local: null, remote: null };
  private restart = false;
  private asked = false;
  private deadSince: number | undefined;

  constructor(
    readonly network: FakeNetwork,
    public configuration: RTCConfiguration,
  ) {
    network.peers.add(this);
  }

  getTransceivers = () => [...this.transceivers];

  setConfiguration(configuration: RTCConfiguration): void {
    this.configuration = configuration;
  }

  addTransceiver(kind: "audio" | "video", { direction }: { direction: string }): FakeTransceiver {
    const transceiver = new FakeTransceiver(this, kind, direction);
    this.transceivers.push(transceiver);
    this.need();
    return transceiver;
  }

  restartIce(): void {
    this.restart = true;
    this.need();
  }

  async setLocalDescription(): Promise<void> {
    await this.turn();
    if (this.signalingState === "have-remote-offer") this.answer();
    else this.offer();
    this.network.later(() => this.gather());
    this.network.look();
  }

  async setRemoteDescription({ type, sdp }: Description): Promise<void> {
    await this.turn();
    const { lines, ufrag, fingerprint } = parse(sdp);
    const before = this.stable.remote && parse(this.stable.remote.sdp).fingerprint;
    if (before && before !== fingerprint) throw fail("InvalidAccessError"); // DTLS is bound to one certificate
    if (type === "answer" && this.signalingState !== "have-local-offer") throw fail("InvalidStateError");
    if (type === "offer" && this.signalingState === "have-local-offer") this.rollBack();
    const known = this.transceivers.filter(({ mid }) => mid !== null).length;
    if (type === "answer" ? lines.length !== known : lines.length < known) throw fail("InvalidAccessError");
    for (const { kind, mid } of lines) {
      const found = this.transceivers.find((each) => each.mid === mid);
      if (found && found.kind !== kind) throw fail("InvalidAccessError");
      if (found || type === "answer") continue;
      const transceiver = new FakeTransceiver(this, kind, "recvonly");
      transceiver.mid = mid;
      this.transceivers.push(transceiver);
    }
    this.remoteDescription = { type, sdp };
    this.remoteUfrag = ufrag;
    if (sdp.includes("a=candidate:")) this.reachable.add(ufrag);
    if (type === "offer") this.signalingState = "have-remote-offer";
    else this.agree();
    this.network.look();
  }

  async addIceCandidate({ candidate, usernameFragment }: RTCIceCandidateInit): Promise<void> {
    await this.turn();
    this.given += 1;
    if (!this.remoteDescription) throw fail("InvalidStateError");
    const ufrag = usernameFragment ?? this.remoteUfrag;
    if (!candidate?.startsWith("candidate:") || ufrag !== this.remoteUfrag) throw fail("OperationError");
    this.reachable.add(ufrag);
    this.network.look();
  }

  async getStats(): Promise<Map<string, unknown>> {
    this.check();
    this.network.count();
    const candidate = (id: string) => ({ id, type: `${id}-candidate`, candidateType: "relay", protocol: "udp" });
    return new Map<string, unknown>([
      ["T", { id: "T", type: "transport", ...(this.pair && { selectedCandidatePairId: "P" }) }],
      ["L", { ...candidate("local"), relayProtocol: "udp" }],
      ["R", candidate("remote")],
      [
        "P",
        {
          type: "candidate-pair",
          localCandidateId: "L",
          remoteCandidateId: "R",
          bytesReceived: this.bytesIn,
          bytesSent: this.bytesIn,
          responsesReceived: this.responses,
          currentRoundTripTime: 0.02,
        },
      ],
      ["I", { type: "inbound-rtp", kind: "audio", packetsReceived: Math.floor(this.bytesIn / 160), packetsLost: 0 }],
    ]);
  }

  close(): void {
    this.signalingState = "closed";
    this.connectionState = "closed";
    this.iceConnectionState = "closed";
    this.network.peers.delete(this);
    this.network.look();
  }

  /** What the network has found out about this one. */
  update(pair: Pair | undefined, flows: boolean, now: number): void {
    if (pair) this.pair = pair;
    if (flows) {
      this.deadSince = undefined;
      this.become("connected", "connected");
      for (const transceiver of this.transceivers) this.hear(transceiver);
    } else if (this.pair) {
      this.deadSince ??= now;
      const dead = now - this.deadSince;
      if (dead >= FAILED_MS) this.become("failed", "failed");
      else if (dead >= DISCONNECTED_MS) this.become("disconnected", "disconnected");
    }
  }

  sends(mid: string | null): boolean {
    const found = this.transceivers.find((each) => each.mid === mid && each.mid !== null);
    return found?.sender.track?.readyState === "live" && found.currentDirection !== null;
  }

  private hear({ mid, receiver: { track } }: FakeTransceiver): void {
    if (!track.muted || !this.pair?.peer.sends(mid)) return;
    track.muted = false;
    track.onunmute?.();
  }

  private become(ice: RTCIceConnectionState, connection: RTCPeerConnectionState): void {
    if (this.connectionState === connection || this.signalingState === "closed") return;
    this.iceConnectionState = ice;
    this.connectionState = connection;
    this.onconnectionstatechange?.();
  }

  private offer(): void {
    if (this.signalingState === "stable") {
      this.stable = { local: this.localDescription, remote: this.remoteDescription };
    }
    if (this.restart) this.ufrag = next("u");
    this.restart = false;
    for (const transceiver of this.transceivers) {
      if (transceiver.mid !== null) continue;
      transceiver.mid = String(this.transceivers.indexOf(transceiver));
      transceiver.pending = true;
    }
    this.localDescription = { type: "offer", sdp: this.sdp() };
    this.signalingState = "have-local-offer";
  }

  private answer(): void {
    // An offer with new credentials is a restart: it is answered with new ones.
    const before = this.stable.remote && parse(this.stable.remote.sdp).ufrag;
    if (before && before !== this.remoteUfrag) this.ufrag = next("u");
    this.localDescription = { type: "answer", sdp: this.sdp() };
    this.agree();
  }

  private agree(): void {
    this.signalingState = "stable";
    this.stable = { local: this.localDescription, remote: this.remoteDescription };
    for (const transceiver of this.transceivers) {
      if (transceiver.mid === null) continue;
      transceiver.pending = false;
      transceiver.currentDirection = transceiver.direction;
    }
    this.need();
  }

  private rollBack(): void {
    this.signalingState = "stable";
    this.localDescription = this.stable.local;
    for (const transceiver of this.transceivers) {
      if (transceiver.pending) transceiver.mid = null;
      transceiver.pending = false;
    }
  }

  private sdp(): string {
    const head = `v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\na=fingerprint:sha-256 ${this.fingerprint}\r\na=ice-ufrag:${this.ufrag}\r\n`;
    const lines = this.transceivers.filter(({ mid }) => mid !== null).sort((a, b) => Number(a.mid) - Number(b.mid));
    return head + lines.map(({ kind, mid }) => `m=${kind} 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:${mid}\r\n`).join("");
  }

  private gather(): void {
    if (this.signalingState === "closed") return;
    const init = { candidate: "candidate:1 1 udp 1 10.0.0.1 9 typ host", sdpMid: "0", usernameFragment: this.ufrag };
    this.onicecandidate?.({ candidate: { candidate: init.candidate, toJSON: () => init } });
    this.onicecandidate?.({ candidate: null });
  }

  private need(): void {
    if (this.asked) return;
    this.asked = true;
    queueMicrotask(() => {
      this.asked = false;
      if (this.signalingState !== "stable") return;
      if (this.restart || this.transceivers.some(({ mid }) => mid === null)) this.onnegotiationneeded?.();
    });
  }

  /** What is under way when it is closed never ends, as WebRTC has it ("abort these steps"). */
  private async turn(): Promise<void> {
    this.check();
    await Promise.resolve();
    if (this.signalingState === "closed") await new Promise(() => undefined);
  }

  private check(): void {
    if (this.signalingState === "closed") throw fail("InvalidStateError");
  }
}

/** The way between all peer connections of a test. */
export class FakeNetwork {
  readonly peers = new Set<FakePeerConnection>();
  /** Counts all that were ever made. */
  made = 0;
  private up = true;
  private relayUp = true;
  /** Pairs that were found before this died with the relay. */
  private age = 0;
  private deadBefore = 0;
  private counted: number;

  constructor(private readonly clock: Clock) {
    this.counted = clock.now();
    this.tick();
  }

  /** No packet passes; the pairs are the same afterwards. */
  cut(): void {
    this.change(() => (this.up = false));
  }

  mend(): void {
    this.change(() => (this.up = true));
  }

  /** The relay is killed with all its allocations: only an ICE restart finds the new one. */
  killRelay(): void {
    this.change(() => {
      this.relayUp = false;
      this.deadBefore = this.age += 1;
    });
  }

  startRelay(): void {
    this.change(() => (this.relayUp = true));
  }

  /** As browsers do: not in the same breath. */
  later(run: () => void): void {
    this.clock.setTimeout(run, 5);
  }

  /** Take up what the descriptions and candidates allow. */
  look(): void {
    this.count();
    const now = this.clock.now();
    for (const one of this.peers) {
      const pair = this.up && this.relayUp ? this.find(one) : undefined;
      const fresh = pair?.key === one.pair?.key ? undefined : pair;
      one.update(fresh, this.flows(fresh ?? one.pair), now);
    }
  }

  /** Bytes and answers of the time that has passed. */
  count(): void {
    const ms = this.clock.now() - this.counted;
    this.counted = this.clock.now();
    for (const one of this.peers) {
      if (!this.flows(one.pair) || !this.peers.has(one.pair!.peer)) continue;
      one.responses += ms / 2_500;
      if (one.pair!.peer.transceivers.some(({ mid }) => one.pair!.peer.sends(mid))) one.bytesIn += ms * BYTES_PER_MS;
    }
  }

  private change(how: () => void): void {
    this.count();
    how();
    this.look();
  }

  private flows(pair: Pair | undefined): boolean {
    return this.up && pair !== undefined && pair.age >= this.deadBefore && this.peers.has(pair.peer);
  }

  /** Both must mean each other's newest credentials, gathered while the relay was there. */
  private find(one: FakePeerConnection): Pair | undefined {
    for (const peer of this.peers) {
      const mutual = peer.ufrag === one.remoteUfrag && peer.remoteUfrag === one.ufrag;
      const known = one.reachable.has(peer.ufrag) || peer.reachable.has(one.ufrag);
      if (peer === one || !mutual || !known) continue;
      return { peer, key: [one.ufrag, peer.ufrag].sort().join(), age: this.age };
    }
    return undefined;
  }

  private tick(): void {
    this.clock.setTimeout(() => {
      this.look();
      this.tick();
    }, 100);
  }
}

/** Microphones and cameras that a test can refuse and pull out. */
export class FakeDevices {
  refuse: Partial<Record<"audio" | "video" | "display", string>> = {};
  readonly taken: FakeTrack[] = [];
  asked = 0;
  private readonly listeners = new Set<() => void>();

  getUserMedia = async ({ audio, video }: { audio: unknown; video: unknown }): Promise<FakeStream> => {
    this.asked += 1;
    await Promise.resolve();
    const refused = (audio ? this.refuse.audio : undefined) ?? (video ? this.refuse.video : undefined);
    if (refused) throw fail(refused);
    return this.give([...(audio ? (["audio"] as const) : []), ...(video ? (["video"] as const) : [])]);
  };

  getDisplayMedia = async (): Promise<FakeStream> => {
    await Promise.resolve();
    if (this.refuse.display) throw fail(this.refuse.display);
    return this.give(["video", "audio"]);
  };

  addEventListener = (_name: string, listener: () => void) => this.listeners.add(listener);
  removeEventListener = (_name: string, listener: () => void) => this.listeners.delete(listener);

  plugged(): void {
    for (const listener of this.listeners) listener();
  }

  /** The newest of a kind that is in use. */
  live(kind: "audio" | "video"): FakeTrack | undefined {
    return this.taken.filter((track) => track.kind === kind && track.readyState === "live").pop();
  }

  private give(kinds: readonly ("audio" | "video")[]): FakeStream {
    const tracks = kinds.map((kind) => new FakeTrack(kind));
    this.taken.push(...tracks);
    return new FakeStream(tracks);
  }
}

/** A browser: its tabs hear each other. */
export class FakeBrowser {
  private readonly channels = new Set<(message: unknown) => void>();

  constructor(readonly network: FakeNetwork) {}

  tab(storage = new FakeStorage()): FakeTab {
    return new FakeTab(this.network, this.channels, storage);
  }
}

export class FakeStorage {
  private readonly items = new Map<string, string>();
  getItem = (key: string) => this.items.get(key) ?? null;
  setItem = (key: string, value: string) => void this.items.set(key, value);
  removeItem = (key: string) => void this.items.delete(key);
}

export class FakeTab implements CallEnvironment {
  unavailableBecause: string | undefined;
  readonly fakeDevices = new FakeDevices();
  page: PageListener | undefined;
  connections: FakePeerConnection[] = [];

  constructor(
    private readonly network: FakeNetwork,
    private readonly channels: Set<(message: unknown) => void>,
    readonly storage: FakeStorage,
  ) {}

  get devices(): MediaDevices {
    return this.fakeDevices as unknown as MediaDevices;
  }

  peer(configuration: RTCConfiguration): RTCPeerConnection {
    const connection = new FakePeerConnection(this.network, configuration);
    this.connections.push(connection);
    this.network.made += 1;
    return connection as unknown as RTCPeerConnection;
  }

  stream(tracks: readonly MediaStreamTrack[]): MediaStream {
    return new FakeStream(tracks as unknown as FakeTrack[]) as unknown as MediaStream;
  }

  audioContext(): undefined {
    return undefined;
  }

  tabs(): TabChannel {
    let hear: (message: unknown) => void = () => undefined;
    const mine = (message: unknown) => hear(message);
    this.channels.add(mine);
    return {
      post: (message) => this.channels.forEach((each) => each !== mine && each(message)),
      listen: (heard) => (hear = heard),
      close: () => this.channels.delete(mine),
    };
  }

  watchPage(listener: PageListener): () => void {
    this.page = listener;
    return () => (this.page = undefined);
  }

  /** The page goes away: the browser closes what it had open. */
  unload(): void {
    this.page?.leaving();
    for (const connection of this.connections) connection.close();
  }
}

interface Parsed {
  lines: { kind: "audio" | "video"; mid: string }[];
  ufrag: string;
  fingerprint: string;
}

function parse(sdp: string): Parsed {
  const ufrag = /a=ice-ufrag:(\S+)/.exec(sdp)?.[1];
  const fingerprint = /a=fingerprint:(.+)/.exec(sdp)?.[1];
  if (!ufrag || !fingerprint) throw fail("InvalidAccessError");
  const lines = [...sdp.matchAll(/m=(audio|video) [^\r]*\r\na=mid:(\S+)/g)];
  return { ufrag, fingerprint, lines: lines.map(([, kind, mid]) => ({ kind: kind as "audio" | "video", mid: mid! })) };
}

function fail(name: string): Error {
  return Object.assign(new Error(name), { name });
}
