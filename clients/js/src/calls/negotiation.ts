/**
 * Perfect negotiation (W3C WebRTC, section 10.7) of one peer connection: offers may cross, and either side may restart ICE.
 * What the other device sends is never trusted to fit: what the browser refuses is dropped.
 */

import type { Slots } from "./slots.js";
import type { CallSignal } from "./types.js";

type Description = Extract<CallSignal, { type: "offer" | "answer" }>;
export type Candidate = Extract<CallSignal, { type: "candidate" }>;

/** A side gathers some twenty; more at once is no gathering. */
const MAX_CANDIDATES = 200;

export interface NegotiationListener {
  send(signal: CallSignal): void;
  /** A description was taken on both sides. */
  negotiated(): void;
}

export class Negotiation {
  private making = false;
  private candidates = 0;
  private waiting: RTCIceCandidateInit[] = [];

  /** @param polite gives way when offers cross; the two sides differ in it. */
  constructor(
    private readonly pc: RTCPeerConnection,
    private readonly slots: Slots,
    private readonly polite: boolean,
    private readonly listener: NegotiationListener,
  ) {
    pc.onnegotiationneeded = () => void this.offer();
    pc.onicecandidate = ({ candidate }) => {
      // The end needs no telling: rarely does the other side make use of it, and foreign ones stumble over it.
      if (candidate?.candidate) listener.send({ type: "candidate", candidate: candidate.toJSON() });
    };
  }

  /** An offer of ours has no answer yet. */
  get unanswered(): boolean {
    return this.pc.signalingState === "have-local-offer";
  }

  async offer(): Promise<void> {
    if (this.making || this.pc.signalingState !== "stable") return;
    this.making = true;
    try {
      await this.pc.setLocalDescription();
      this.repeat();
    } catch {
      // Closed, or the other side's offer came first: then its answer says what we have to say.
    } finally {
      this.making = false;
    }
  }

  /** Send the offer or answer that counts, with the candidates that are known by now. */
  repeat(): void {
    const description = this.pc.localDescription;
    if (description?.type !== "offer" && description?.type !== "answer") return;
    this.listener.send({ type: description.type, sdp: description.sdp, sources: this.slots.sources() });
  }

  /** True: the offer has to give way to ours. */
  ignores(type: "offer"): boolean {
    return type === "offer" && !this.polite && (this.making || this.pc.signalingState !== "stable");
  }

  async takeOffer({ sdp, sources }: Description): Promise<void> {
    // 1. The browser rolls our own offer back, if there is one.
    await this.pc.setRemoteDescription({ type: "offer", sdp });
    await this.takeWaiting();
    // 2. What we send goes into the lines it offers.
    await this.slots.adopt(sources ?? {});
    // 3. Answer.
    await this.pc.setLocalDescription();
    this.repeat();
    await this.settled();
  }

  async takeAnswer({ sdp }: Description): Promise<void> {
    if (!this.unanswered) return;
    await this.pc.setRemoteDescription({ type: "answer", sdp });
    await this.takeWaiting();
    this.slots.confirm();
    await this.settled();
  }

  async takeCandidate({ candidate }: Candidate): Promise<void> {
    if (candidate === null || (this.candidates += 1) > MAX_CANDIDATES) return;
    if (this.pc.remoteDescription) await this.pc.addIceCandidate(candidate);
    else this.waiting.push(candidate);
  }

  private async takeWaiting(): Promise<void> {
    this.candidates = 0;
    for (const candidate of this.waiting.splice(0)) await this.pc.addIceCandidate(candidate).catch(() => undefined);
  }

  private async settled(): Promise<void> {
    await this.slots.limit();
    this.listener.negotiated();
  }
}
