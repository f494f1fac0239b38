/** Sounds of the telephone, computed: ringing, ring-back, waiting, and short signs. No files, no timers. */

export type Tone = "ring" | "ring_back" | "waiting" | "test" | "joined" | "over";

interface Note {
  /** s from the start of the period */
  at: number;
  s: number;
  hz: readonly number[];
}

/** `period`: s after which it begins anew; 0: once. */
const TONES: Record<Tone, { period: number; volume: number; notes: readonly Note[] }> = {
  ring: {
    period: 3.2,
    volume: 0.32,
    notes: [0, 0.9].flatMap((start) => [
      { at: start, s: 0.24, hz: [659.3, 1318.5] },
      { at: start + 0.2, s: 0.24, hz: [830.6, 1661.2] },
      { at: start + 0.4, s: 0.42, hz: [987.8, 1975.5] },
    ]),
  },
  // As European exchanges sound: 425 Hz, one second in five.
  ring_back: { period: 5, volume: 0.12, notes: [{ at: 0.2, s: 1, hz: [425] }] },
  waiting: { period: 6, volume: 0.12, notes: [0, 0.35].map((at) => ({ at, s: 0.18, hz: [587.3] })) },
  test: {
    period: 0,
    volume: 0.3,
    notes: [523.3, 659.3, 784, 1046.5].map((hz, index) => ({ at: index * 0.22, s: 0.35, hz: [hz] })),
  },
  joined: {
    period: 0,
    volume: 0.16,
    notes: [
      { at: 0, s: 0.12, hz: [587.3] },
      { at: 0.11, s: 0.2, hz: [880] },
    ],
  },
  over: {
    period: 0,
    volume: 0.16,
    notes: [
      { at: 0, s: 0.14, hz: [587.3] },
      { at: 0.13, s: 0.24, hz: [392] },
    ],
  },
};

/** So long a note swells and fades, s: without it one hears clicks. */
const EDGE_S = 0.02;

let shared: AudioContext | undefined;

/** The page's one audio context; undefined where the browser has none. */
export function audioContext(): AudioContext | undefined {
  if (!shared && typeof AudioContext !== "undefined") {
    shared = new AudioContext();
    // Browsers keep a page silent until somebody has used it: the first touch or key wakes it.
    const wake = () => void shared?.resume().catch(() => undefined);
    for (const name of ["pointerdown", "keydown"]) addEventListener(name, wake, { capture: true, passive: true });
  }
  if (shared?.state === "suspended") void shared.resume().catch(() => undefined);
  return shared;
}

export interface Playing {
  stop(): void;
}

/** Play a tone: to the end, or over and over until it is stopped. */
export function play(tone: Tone, to?: AudioNode): Playing {
  const context = audioContext();
  if (!context) return { stop: () => undefined };
  const source = context.createBufferSource();
  source.buffer = bufferOf(context, tone);
  source.loop = TONES[tone].period > 0;
  source.connect(to ?? context.destination);
  source.start();
  return {
    stop: () => {
      source.stop();
      source.disconnect();
    },
  };
}

/** A few notes out of one certain loudspeaker. */
export async function playTest(speaker: string): Promise<void> {
  const context = audioContext();
  if (!context) return;
  const outlet = context.createMediaStreamDestination();
  const element = new Audio();
  element.srcObject = outlet.stream;
  if (speaker && "setSinkId" in element) await element.setSinkId(speaker);
  await element.play();
  play("test", outlet);
  setTimeout(() => element.pause(), 2_000);
}

const buffers = new Map<Tone, AudioBuffer>();

function bufferOf(context: AudioContext, tone: Tone): AudioBuffer {
  const known = buffers.get(tone);
  if (known) return known;
  const { period, volume, notes } = TONES[tone];
  const rate = context.sampleRate;
  const end = Math.max(...notes.map((note) => note.at + note.s));
  const buffer = context.createBuffer(1, Math.ceil(Math.max(period, end) * rate), rate);
  const samples = buffer.getChannelData(0);
  for (const note of notes) addNote(samples, note, { rate, volume });
  buffers.set(tone, buffer);
  return buffer;
}

function addNote(samples: Float32Array, note: Note, { rate, volume }: { rate: number; volume: number }): void {
  const first = Math.floor(note.at * rate);
  const count = Math.floor(note.s * rate);
  for (let index = 0; index < count; index += 1) {
    const at = index / rate;
    const edge = Math.min(at / EDGE_S, (note.s - at) / EDGE_S, 1);
    let sum = 0;
    // Upper partials are softer: a bell, not a buzzer.
    note.hz.forEach((hz, partial) => (sum += Math.sin(2 * Math.PI * hz * at) / (1 + 2 * partial)));
    samples[first + index]! += sum * edge * volume;
  }
}
