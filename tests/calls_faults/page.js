/* A page that calls by our SDK. `talker` is one person in it; `route` bends the way of its media. */
import { Hubbub, MemoryOutboxStore } from "/sdk.js";

const SAMPLE_MS = 250;

class Talker {
  samples = [];
  #client = new Hubbub({ outbox: new MemoryOutboxStore() });
  #shown = new Map();
  #sampling = false;

  async joins(username) {
    const client = this.#client;
    client.on("change", () => this.#show());
    await client.signUp({ username, password: `a long one for ${username}` });
    while (!client.calls.available) await new Promise((done) => setTimeout(done, 50));
    setInterval(() => void this.#sample(), SAMPLE_MS);
    return { user_id: client.session.user.id, device_id: client.session.device.id, token: await this.token() };
  }

  token = async () => this.#client.session.access_token;
  room = async (userId) => (await this.#client.api.createRoom({ kind: "direct", member_ids: [userId] })).id;
  start = async (roomId) => (await this.#client.calls.start(roomId, "video")).id;
  leave = () => this.#client.calls.current.leave();

  async accepts() {
    while (this.#client.calls.ringing.length === 0) await new Promise((done) => setTimeout(done, 30));
    return (await this.#client.calls.accept(this.#client.calls.ringing[0].call.id)).id;
  }

  state() {
    const { current } = this.#client.calls;
    return { id: current?.id, phase: current?.phase, reason: current?.reason, online: this.#client.connection };
  }

  /** As an application shows it: undecoded media would prove nothing. */
  #show() {
    for (const { audio, camera } of this.#client.calls.current?.remote ?? []) {
      this.#play("audio", audio);
      this.#play("video", camera);
    }
  }

  #play(kind, stream) {
    if (!stream || this.#shown.get(kind)?.srcObject === stream) return;
    const element = this.#shown.get(kind) ?? document.body.appendChild(document.createElement(kind));
    this.#shown.set(kind, element);
    Object.assign(element, { autoplay: true, muted: kind === "video", srcObject: stream });
    void element.play().catch(() => undefined);
  }

  /** Totals over all connections that there were. */
  async #sample() {
    if (this.#sampling) return;
    this.#sampling = true;
    await Promise.all(window.peers.map((peer) => count(peer).catch(() => undefined)));
    this.samples.push({ at: Date.now(), ...counted });
    this.#sampling = false;
  }
}

const counted = { frames: 0, freezes: 0, freeze_s: 0, concealed: 0, samples: 0, received: 0 };
const before = new WeakMap();

/** Adds what is new. A stream's own totals begin anew when the browser makes its receiver anew. */
async function count(peer) {
  if (peer.connectionState === "closed") return;
  const known = before.get(peer) ?? new Map();
  before.set(peer, known);
  for (const stat of (await peer.getStats()).values()) {
    if (stat.type !== "inbound-rtp") continue;
    const earlier = known.get(stat.id) ?? {};
    const now = stat.kind === "video" ? video(stat) : audio(stat);
    for (const [name, value] of Object.entries(now)) {
      counted[name] += value >= (earlier[name] ?? 0) ? value - (earlier[name] ?? 0) : value;
    }
    known.set(stat.id, now);
  }
}

const video = (stat) => ({
  frames: stat.framesDecoded ?? 0,
  freezes: stat.freezeCount ?? 0,
  freeze_s: stat.totalFreezesDuration ?? 0,
});

/** Silence that was made up counts as made up: a call that is cut ends in it. */
const audio = (stat) => ({
  concealed: stat.concealedSamples ?? 0,
  samples: stat.totalSamplesReceived ?? 0,
  received: stat.packetsReceived ?? 0,
});

window.talker = new Talker();
