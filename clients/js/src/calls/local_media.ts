/** One's own sound and pictures: what is taken, what of it is sent, and what happens when a device is pulled out. */

import type { Devices, Wish } from "./devices.js";
import type { CallMedia, MediaChoice, Source } from "./types.js";

export interface LocalListener {
  /** This track is what is to be sent as `source`; undefined: nothing. */
  track(source: Source, track: MediaStreamTrack | undefined): void;
  changed(): void;
}

export class LocalMedia {
  problem: string | undefined;
  /** The devices were asked for: what is missing now will be missing. */
  settled = false;
  choice: MediaChoice;
  private muted: boolean;
  private cameraWanted: boolean;
  private readonly tracks = new Map<Source, MediaStreamTrack>();
  private readonly unwatch: () => void;
  private tail: Promise<void> = Promise.resolve();
  private closed = false;

  constructor(
    private readonly devices: Devices,
    media: CallMedia,
    choice: MediaChoice,
    private readonly listener: LocalListener,
  ) {
    this.choice = choice;
    this.muted = choice.muted ?? false;
    this.cameraWanted = media === "video" && !choice.cameraOff;
    this.unwatch = devices.watch(() => void this.settle());
  }

  /** What the other side gets to hear and see. */
  get sending(): ReadonlySet<Source> {
    const sources = [...this.tracks.keys()].filter((source) => source !== "mic" || !this.muted);
    return new Set(sources);
  }

  get(source: Source): MediaStreamTrack | undefined {
    return this.tracks.get(source);
  }

  /** Take what is wanted and not there. */
  settle(): Promise<void> {
    return this.inTurn(async () => {
      const wishes: Wish[] = [];
      if (!this.tracks.has("mic")) wishes.push("mic");
      if (this.cameraWanted && !this.tracks.has("camera")) wishes.push("camera");
      await this.take(wishes);
      if (this.settled) return;
      this.settled = true;
      this.listener.changed();
    });
  }

  mute(muted: boolean): void {
    this.muted = muted;
    this.choice = { ...this.choice, muted };
    const mic = this.tracks.get("mic");
    if (mic) mic.enabled = !muted;
    else if (!muted) void this.settle();
    this.listener.changed();
  }

  async camera(on: boolean): Promise<void> {
    this.cameraWanted = on;
    this.choice = { ...this.choice, cameraOff: !on };
    if (on) return this.settle();
    this.remove("camera");
  }

  async share(on: boolean): Promise<void> {
    if (!on) {
      this.remove("screen");
      this.remove("screen_audio");
      return;
    }
    try {
      // Not in turn: the browser wants the person's click to be the cause.
      const taken = await this.devices.screen();
      if (!taken) return;
      this.set("screen", taken.screen);
      if (taken.sound) this.set("screen_audio", taken.sound);
      this.problem = undefined;
    } catch (cause) {
      this.problem = (cause as Error).message;
    }
    this.listener.changed();
  }

  choose(choice: MediaChoice): Promise<void> {
    const before = this.choice;
    this.choice = { ...before, ...choice };
    if (choice.muted !== undefined) this.mute(choice.muted);
    if (choice.cameraOff !== undefined) this.cameraWanted = !choice.cameraOff;
    if (!this.cameraWanted) this.remove("camera");
    return this.inTurn(async () => {
      const others: Wish[] = [];
      if (choice.mic !== undefined && choice.mic !== before.mic) others.push("mic");
      if (this.cameraWanted && !this.tracks.has("camera")) others.push("camera");
      else if (this.cameraWanted && choice.camera !== undefined && choice.camera !== before.camera) others.push("camera");
      await this.take(others);
    });
  }

  close(): void {
    this.closed = true;
    this.unwatch();
    for (const track of this.tracks.values()) stop(track);
    this.tracks.clear();
  }

  /** A track that is replaced is sent until the new one is there. */
  private async take(wishes: readonly Wish[]): Promise<void> {
    if (wishes.length === 0 || this.closed) return;
    const taken = await this.devices.take(wishes, this.choice);
    this.problem = taken.problem;
    if (taken.mic) this.set("mic", taken.mic);
    if (taken.camera && this.cameraWanted) this.set("camera", taken.camera);
    else if (taken.camera) stop(taken.camera);
    this.listener.changed();
  }

  private set(source: Source, track: MediaStreamTrack): void {
    if (this.closed) return stop(track);
    const older = this.tracks.get(source);
    this.tracks.set(source, track);
    if (source === "mic") track.enabled = !this.muted;
    if ("contentHint" in track) track.contentHint = HINTS[source];
    track.onended = () => this.tracks.get(source) === track && this.ended(source);
    this.listener.track(source, track);
    if (older) stop(older);
  }

  private remove(source: Source): void {
    const track = this.tracks.get(source);
    if (!track) return;
    this.tracks.delete(source);
    this.listener.track(source, undefined);
    stop(track);
    this.listener.changed();
  }

  /** The browser's own button ends a screen; a device that was pulled out is replaced by any other. */
  private ended(source: Source): void {
    if (source === "screen") return void this.share(false);
    this.remove(source);
    if (source === "screen_audio") return;
    this.choice = { ...this.choice, [source]: "" };
    void this.settle().then(() => {
      const name = source === "mic" ? "microphone" : "camera";
      const instead = this.tracks.has(source) ? "another one is used" : "there is no other";
      this.problem = `The ${name} is gone: ${instead}.`;
      this.listener.changed();
    });
  }

  private inTurn(task: () => Promise<void>): Promise<void> {
    const turn = this.tail.then(() => (this.closed ? undefined : task()));
    this.tail = turn;
    return turn;
  }
}

const HINTS: Readonly<Record<Source, string>> = {
  mic: "speech",
  camera: "motion",
  screen: "detail",
  screen_audio: "music",
};

function stop(track: MediaStreamTrack): void {
  track.onended = null;
  track.stop();
}
