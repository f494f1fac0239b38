/** How loud a track is. */

/** What a loud voice reaches on an ordinary microphone; more is shown as full. */
const LOUD_RMS = 0.25;

export class Meter {
  private context: AudioContext | undefined;
  private metered: { track: MediaStreamTrack; source: AudioNode; analyser: AnalyserNode } | undefined;
  private samples = new Float32Array(0);

  constructor(
    private readonly audioContext: () => AudioContext | undefined,
    private readonly stream: (tracks: readonly MediaStreamTrack[]) => MediaStream,
  ) {}

  /** 0..1. The first question starts the measuring. */
  level(track: MediaStreamTrack | undefined): number {
    if (!track?.enabled || track.readyState === "ended") return 0;
    const analyser = this.of(track);
    if (!analyser) return 0;
    analyser.getFloatTimeDomainData(this.samples as Float32Array<ArrayBuffer>);
    const power = this.samples.reduce((all, sample) => all + sample * sample, 0) / this.samples.length;
    return Math.min(1, Math.sqrt(power) / LOUD_RMS);
  }

  close(): void {
    this.forget();
    void this.context?.close().catch(() => undefined);
    this.context = undefined;
  }

  private of(track: MediaStreamTrack): AnalyserNode | undefined {
    if (this.metered?.track === track) return this.metered.analyser;
    this.forget();
    const context = (this.context ??= this.audioContext());
    if (!context) return undefined;
    // Before the person has touched the page it may be asleep.
    if (context.state === "suspended") void context.resume().catch(() => undefined);
    const source = context.createMediaStreamSource(this.stream([track]));
    const analyser = context.createAnalyser();
    analyser.fftSize = 1024;
    this.samples = new Float32Array(analyser.fftSize);
    source.connect(analyser);
    this.metered = { track, source, analyser };
    return analyser;
  }

  private forget(): void {
    this.metered?.source.disconnect();
    this.metered = undefined;
  }
}
