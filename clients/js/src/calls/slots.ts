/** Which m-line of a connection carries which source, and the tracks that are put into them. */

import { KINDS, SOURCES } from "./signal.js";
import type { Source } from "./types.js";

/** bit/s at most. Two people see each other well by this, and a text on a shared screen stays sharp. */
const MAX_BITRATE: Readonly<Record<Source, number>> = {
  mic: 48_000,
  camera: 1_200_000,
  screen: 2_500_000,
  screen_audio: 128_000,
};

/** What suffers when the network or the computer is slow: of a screen, the motion. */
const PREFERENCE: Partial<Record<Source, string>> = { camera: "balanced", screen: "maintain-resolution" };

type Arrived = (source: Source, track: MediaStreamTrack) => void;

/**
 * All four sources have an m-line from the first offer on, so that a camera or a screen comes and goes without
 * negotiation. A foreign client may have fewer: a source gets its line when it is first sent.
 */
export class Slots {
  private readonly bySource = new Map<Source, RTCRtpTransceiver>();
  private readonly tracks = new Map<Source, MediaStreamTrack>();
  private limiting: Promise<void> = Promise.resolve();

  constructor(
    private readonly pc: RTCPeerConnection,
    private readonly arrived: Arrived,
  ) {}

  /** Lines are there, offered or not. */
  get opened(): boolean {
    return this.bySource.size > 0;
  }

  /** For the first offer. */
  open(): void {
    for (const source of SOURCES) if (!this.bySource.has(source)) this.add(source);
  }

  /** Send this track as `source` from now on; undefined: nothing. */
  async put(source: Source, track: MediaStreamTrack | undefined): Promise<void> {
    if (track) this.tracks.set(source, track);
    else this.tracks.delete(source);
    const slot = this.usable(source);
    if (slot) {
      await slot.sender.replaceTrack(track ?? null);
      await this.limit();
    }
    // Before the first offer, whoever makes it, lines are not for us to open.
    else if (track && this.pc.remoteDescription) this.add(source);
  }

  /** After an offer of the other side was taken: its m-lines find their sources, and what we send goes into them. */
  async adopt(sources: Readonly<Record<string, Source>>): Promise<void> {
    const free = this.pc.getTransceivers().filter((each) => each.mid !== null && !isStopped(each));
    for (const transceiver of free) {
      const source = this.sourceOf(transceiver) ?? this.claim(transceiver, sources);
      if (!source) {
        transceiver.direction = "inactive"; // more than we show need not be received
        continue;
      }
      this.bySource.set(source, transceiver);
      transceiver.direction = "sendrecv";
      this.arrived(source, transceiver.receiver.track);
      await transceiver.sender.replaceTrack(this.tracks.get(source) ?? null);
    }
    for (const source of this.tracks.keys()) if (!this.usable(source)) this.add(source);
  }

  /** After the other side's answer: it may have named our lines otherwise, or rejected some. */
  confirm(): void {
    for (const [source, transceiver] of this.bySource) {
      if (!isStopped(transceiver)) this.arrived(source, transceiver.receiver.track);
    }
  }

  /** For the description that is sent. */
  sources(): Record<string, Source> {
    const named: Record<string, Source> = {};
    for (const [source, { mid }] of this.bySource) if (mid !== null) named[mid] = source;
    return named;
  }

  /** Sets the limits of what is sent; possible only once it is negotiated. One after the other: browsers refuse two at once. */
  limit(): Promise<void> {
    this.limiting = this.limiting.then(() => this.limitEach());
    return this.limiting;
  }

  /**
   * A line that nothing is put into is switched off: Chromium reserves a share of the bandwidth for it otherwise, and after
   * losses the camera was left with 30 kbit/s for as long as we looked.
   */
  private async limitEach(): Promise<void> {
    for (const [source, { sender }] of this.bySource) {
      const parameters = sender.getParameters();
      const [encoding] = parameters.encodings ?? [];
      const active = this.tracks.has(source);
      if (!encoding || (encoding.maxBitrate === MAX_BITRATE[source] && encoding.active === active)) continue;
      Object.assign(encoding, { maxBitrate: MAX_BITRATE[source], active });
      const preference = PREFERENCE[source];
      if (preference) Object.assign(parameters, { degradationPreference: preference });
      // Some browsers refuse while a negotiation is under way: after the next one it is tried again.
      await sender.setParameters(parameters).catch(() => undefined);
    }
  }

  private add(source: Source): void {
    const transceiver = this.pc.addTransceiver(KINDS[source], { direction: "sendrecv" });
    this.bySource.set(source, transceiver);
    const track = this.tracks.get(source);
    if (track) void transceiver.sender.replaceTrack(track).catch(() => undefined);
  }

  private usable(source: Source): RTCRtpTransceiver | undefined {
    const transceiver = this.bySource.get(source);
    return transceiver && !isStopped(transceiver) ? transceiver : undefined;
  }

  private sourceOf(transceiver: RTCRtpTransceiver): Source | undefined {
    for (const [source, each] of this.bySource) if (each === transceiver) return source;
    return undefined;
  }

  /** As the other side says; if it does not, the first sound is the microphone, the first picture the camera. */
  private claim(transceiver: RTCRtpTransceiver, sources: Readonly<Record<string, Source>>): Source | undefined {
    const kind = transceiver.receiver.track.kind;
    const said = Object.hasOwn(sources, transceiver.mid!) ? sources[transceiver.mid!] : undefined;
    const wanted = said ? [said] : SOURCES;
    return wanted.find((source) => KINDS[source] === kind && !this.usable(source));
  }
}

function isStopped(transceiver: RTCRtpTransceiver): boolean {
  return transceiver.direction === "stopped" || transceiver.currentDirection === "stopped";
}
