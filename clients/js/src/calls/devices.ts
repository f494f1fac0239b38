/** Microphones, cameras and screens, and for people why there is none. */

import type { MediaChoice } from "./types.js";

export type Wish = "mic" | "camera";

/** 720p is what two people see well; a slow network or computer makes it smaller by itself. */
const PICTURE = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 } };
const SOUND = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

const NAMES: Record<Wish, string> = { mic: "microphone", camera: "camera" };

export interface Taken {
  mic?: MediaStreamTrack;
  camera?: MediaStreamTrack;
  problem?: string;
}

export class Devices {
  constructor(private readonly media: () => MediaDevices | undefined) {}

  /** Take these devices: together, so that the person is asked once; if that fails each by itself. Never throws. */
  async take(wishes: readonly Wish[], choice: MediaChoice): Promise<Taken> {
    if (wishes.length === 0) return {};
    const media = this.media();
    if (!media) return { problem: "Calls need a page that was loaded by https." };
    try {
      return tracksOf(await media.getUserMedia(constraints(wishes, choice)));
    } catch (cause) {
      if (wishes.length > 1) return this.takeEach(wishes, choice);
      const wish = wishes[0]!;
      // The chosen one is gone: any will do.
      if (nameOf(cause) === "OverconstrainedError" && choice[wish]) {
        return this.take(wishes, { ...choice, [wish]: "" });
      }
      return { problem: problemOf(cause, wish) };
    }
  }

  /** Undefined: the person chose none. @throws Error with a text for people */
  async screen(): Promise<{ screen: MediaStreamTrack; sound: MediaStreamTrack | undefined } | undefined> {
    const media = this.media();
    if (!media?.getDisplayMedia) throw new Error("This browser cannot share a screen.");
    try {
      const stream = await media.getDisplayMedia({ video: { frameRate: { ideal: 15, max: 30 } }, audio: true });
      const [screen, sound] = [stream.getVideoTracks()[0], stream.getAudioTracks()[0]];
      return screen && { screen, sound };
    } catch (cause) {
      if (nameOf(cause) === "NotAllowedError" || nameOf(cause) === "AbortError") return undefined;
      throw new Error("The screen cannot be shared: the system gave no picture of it.", { cause });
    }
  }

  watch(changed: () => void): () => void {
    const media = this.media();
    media?.addEventListener?.("devicechange", changed);
    return () => media?.removeEventListener?.("devicechange", changed);
  }

  private async takeEach(wishes: readonly Wish[], choice: MediaChoice): Promise<Taken> {
    const all: Taken = {};
    const problems: string[] = [];
    for (const wish of wishes) {
      const { problem, ...taken } = await this.take([wish], choice);
      Object.assign(all, taken);
      if (problem) problems.push(problem);
    }
    return problems.length > 0 ? { ...all, problem: inOne(problems) } : all;
  }
}

function constraints(wishes: readonly Wish[], choice: MediaChoice): MediaStreamConstraints {
  const exact = (id: string | undefined) => (id ? { deviceId: { exact: id } } : {});
  return {
    audio: wishes.includes("mic") && { ...SOUND, ...exact(choice.mic) },
    video: wishes.includes("camera") && { ...PICTURE, ...exact(choice.camera) },
  };
}

function tracksOf(stream: MediaStream): Taken {
  const [mic, camera] = [stream.getAudioTracks()[0], stream.getVideoTracks()[0]];
  return { ...(mic && { mic }), ...(camera && { camera }) };
}

const ALLOW = "Allow it by the sign beside the address.";

/** What is to be done is said once. */
function inOne(problems: readonly string[]): string {
  const facts = problems.map((problem) => problem.replace(` ${ALLOW}`, ""));
  return [...facts, ...(problems.some((problem) => problem.endsWith(ALLOW)) ? [ALLOW] : [])].join(" ");
}

function problemOf(cause: unknown, wish: Wish): string {
  const name = NAMES[wish];
  switch (nameOf(cause)) {
    case "NotAllowedError":
      return `The browser was not allowed to use the ${name}. ${ALLOW}`;
    case "NotFoundError":
    case "OverconstrainedError":
      return `There is no ${name}.`;
    case "NotReadableError":
    case "AbortError":
      return `The ${name} cannot be opened: perhaps another program uses it.`;
    case "SecurityError":
    case "TypeError":
      return "Calls need a page that was loaded by https.";
    default:
      return `The ${name} cannot be used.`;
  }
}

function nameOf(cause: unknown): string {
  return typeof cause === "object" && cause !== null ? String((cause as { name?: unknown }).name) : "";
}
