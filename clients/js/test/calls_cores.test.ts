import { describe, expect, it } from "vitest";

import { CallBook } from "../src/calls/book.js";
import { Peer } from "../src/calls/peer.js";
import { QualityRecord, type Seen } from "../src/calls/quality.js";
import { Recovery, type Signs } from "../src/calls/recovery.js";
import { fingerprintsOf, readSignal } from "../src/calls/signal.js";
import { Signaler } from "../src/calls/signaler.js";
import { NOTHING, readStats, type Totals } from "../src/calls/stats.js";
import type { Call, CallSignal } from "../src/calls/types.js";
import type { Transport } from "../src/transport.js";
import { errorFrom, Offline } from "../src/errors.js";
import { FakeBrowser, FakeNetwork } from "./fake_webrtc.js";
import { settle, VirtualClock } from "./virtual_clock.js";

const call = (id: string, more: Partial<Call> = {}): Call => ({
  id,
  room_id: "garden",
  media: "audio",
  mode: "p2p",
  generation: 1,
  state: "ringing",
  started_by: "alice",
  started_at: 0,
  participants: [],
  ...more,
});

describe("the book of calls", () => {
  it("holds only so many who ring, the newest", () => {
    const book = new CallBook(() => "bob");

    for (let turn = 0; turn < 100; turn += 1) book.rings({ call: call(`c${turn}`), expires_at: 45_000 });

    expect(book.ringing).toHaveLength(32);
    expect(book.ringing.at(-1)!.call.id).toBe("c99");
  });

  it.each([
    ["declined on another device", { reason: "declined" as const }],
    ["answered", { state: "active" as const }],
    ["over", { state: "ended" as const, reason: "cancelled" as const }],
  ])("what is %s rings no more", (_name, change) => {
    const book = new CallBook(() => "bob");
    book.rings({ call: call("c"), expires_at: 45_000 });

    book.told(call("c", change));

    expect(book.ringing).toEqual([]);
  });

  it("after a connect, what is told again stays and the rest goes", () => {
    const book = new CallBook(() => "bob");
    for (const id of ["kept", "gone"]) book.told(call(id, { state: "active", room_id: id }));

    book.beginLine();
    book.told(call("kept", { state: "active", room_id: "kept" }));
    expect(book.inRoom("gone")).toBeDefined();
    book.settleLine();

    expect([book.inRoom("kept")?.id, book.inRoom("gone")]).toEqual(["kept", undefined]);
  });
});

describe("signals of other devices", () => {
  const random = (seed: number) => () => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) / 2_147_483_648;

  function anything(next: () => number, depth = 0): unknown {
    const kinds = [null, true, -1.5, "offer", "v=0", "candidate", "x".repeat(Math.floor(next() * 3_000))];
    const kind = Math.floor(next() * (depth > 3 ? kinds.length : kinds.length + 2));
    if (kind < kinds.length) return kinds[kind];
    const count = Math.floor(next() * (depth === 0 ? 40 : 5));
    const items = Array.from({ length: count }, () => anything(next, depth + 1));
    const names = ["type", "sdp", "sources", "candidate", "from", "to", "sdpMid", "sdpMLineIndex", "usernameFragment"];
    if (kind === kinds.length) return items;
    return Object.fromEntries(items.map((item, index) => [names[index % names.length]!, item]));
  }

  it("of 10,000 made-up ones none throws, and what is taken is small", () => {
    const next = random(5);
    let [taken, largest] = [0, 0];
    for (let turn = 0; turn < 10_000; turn += 1) {
      const made = { sdp: "v=0", ...(anything(next) as object), type: ["offer", "answer", "candidate"][turn % 3] };
      const read = readSignal(next() < 0.9 ? made : anything(next));
      if (!read) continue;
      taken += 1;
      largest = Math.max(largest, JSON.stringify(read).length);
    }
    expect(taken).toBeGreaterThan(1_000);
    expect(largest).toBeLessThan(10_000);
  });

  it("sources that nobody knows are left out, and none come from the prototype", () => {
    const read = readSignal({ type: "offer", sdp: "v=0", sources: JSON.parse('{"0":"mic","1":"nose","__proto__":"camera"}') });

    expect(read).toMatchObject({ sources: { "0": "mic" } });
    expect(Object.keys((read as { sources: object }).sources)).not.toContain("1");
  });

  it("a candidate without a line belongs to the first", () => {
    const read = readSignal({ type: "candidate", candidate: { candidate: "candidate:1 1 udp 1 10.0.0.1 9 typ host" } });

    expect(read).toMatchObject({ candidate: { sdpMLineIndex: 0 } });
  });

  it("one certificate in all lines is one fingerprint", () => {
    const line = "a=fingerprint:sha-256 AB:CD\r\n";

    expect(fingerprintsOf(`v=0\r\n${line}m=audio 9 X 1\r\n${line}`)).toBe("a=fingerprint:sha-256 ab:cd");
  });
});

describe("when to look for new paths", () => {
  const well: Signs = { bytesIn: 0, responses: 0, ice: "connected", connection: "connected" };

  /** Half a second each; `flow` says whether bytes arrive. Returns when what was done. */
  function run(recovery: Recovery, seconds: number, flow: (at: number) => Partial<Signs> & { flows: boolean }) {
    const done: string[] = [];
    let [bytesIn, responses] = [0, 0];
    for (let at = 0; at <= seconds * 1_000; at += 500) {
      const { flows, ...signs } = flow(at);
      if (flows) [bytesIn, responses] = [bytesIn + 1_000, responses + 0.2];
      const cure = recovery.see({ ...well, bytesIn, responses, ...signs }, at);
      if (cure) done.push(`${at} ${cure}`);
    }
    return done;
  }

  it("silence where packets came is answered after 1.5 s, then ever more patiently, at last by a new connection", () => {
    expect(run(new Recovery(0), 20, (at) => ({ flows: at < 3_000 }))).toEqual([
      "4500 restart",
      "6000 restart",
      "8000 restart",
      "11000 rebuild",
      "15000 rebuild",
      "19000 rebuild",
    ]);
  });

  it("packets that come again end it", () => {
    const recovery = new Recovery(0);

    const done = run(recovery, 20, (at) => ({ flows: at < 3_000 || at > 5_000 }));

    expect(done).toEqual(["4500 restart"]);
    expect(recovery.ailing).toBe(false);
  });

  it("ICE that tries another pair of candidates, with totals of its own, has brought no packet", () => {
    const recovery = new Recovery(0);

    const done = run(recovery, 12, (at) => ({
      flows: at < 3_000,
      ...(at < 7_000 ? { pairId: "direct" } : { pairId: "other", bytesIn: 2_000, responses: 2 }),
    }));

    expect(done).toEqual(["4500 restart", "6000 restart", "8000 restart", "11000 rebuild"]);
    expect(recovery.ailing).toBe(true);
  });

  it("a call in which nobody sends anything is left alone while checks are answered", () => {
    const done = run(new Recovery(0), 60, (at) => ({ flows: false, responses: Math.floor(at / 2_500) }));

    expect(done).toEqual([]);
  });

  it("a first connection that does not come about is tried again after 6 s", () => {
    const done = run(new Recovery(0), 9, () => ({ flows: false, ice: "checking", connection: "connecting" }));

    expect(done).toEqual(["6500 restart"]);
  });

  it("where checks are answered and DTLS gets nowhere, it is tried again, at last by a new connection", () => {
    const stuck = { flows: false, connection: "connecting" } as const;
    const done = run(new Recovery(0), 30, (at) => ({ ...stuck, responses: Math.floor(at / 2_500) }));

    expect(done).toEqual(["6500 restart", "13000 restart", "19500 restart", "26000 rebuild"]);
  });

  it("where ICE is well and DTLS has failed, only a new connection helps", () => {
    const done = run(new Recovery(0), 5, (at) => ({ flows: at < 3_000, connection: at < 3_000 ? "connected" : "failed" }));

    expect(done[0]).toBe("3000 rebuild");
  });

  it("without the server nothing is done: the old path may come back", () => {
    const recovery = new Recovery(0);
    recovery.see({ ...well, bytesIn: 1 }, 0);
    recovery.see({ ...well, bytesIn: 2 }, 500);

    expect(recovery.see({ ...well, bytesIn: 2 }, 4_000, false)).toBeUndefined();
    expect(recovery.ailing).toBe(true);
    expect(recovery.see({ ...well, bytesIn: 2 }, 4_500, true)).toBe("restart");
  });
});

describe("a peer", () => {
  const clock = new VirtualClock();
  const network = new FakeNetwork(clock);

  function peer(polite: boolean): { it: Peer; said: CallSignal[] } {
    const said: CallSignal[] = [];
    const listener = { send: (_: string, signal: CallSignal) => said.push(signal), replaced() {}, changed() {} };
    const settings = { deviceId: polite ? "alice" : "bob", polite, configuration: {} };
    return { it: new Peer(settings, new FakeBrowser(network).tab(), clock, listener), said };
  }

  it.each([1, 2, 3])("that begins anew %i turns into a signal takes those that follow", async (turns) => {
    const [hers, his] = [peer(false), peer(true)];
    his.it.begin();
    await settle();
    hers.it.receive(his.said.find(({ type }) => type === "offer")!);
    for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();

    hers.it.rebuild();
    await settle();
    his.it.receive(hers.said.filter(({ type }) => type === "offer").at(-1)!);
    await settle();
    for (const signal of his.said.slice(-1)) hers.it.receive(signal);
    await settle();

    expect(his.said.at(-1)).toMatchObject({ type: "answer" });
    expect(hers.it.unanswered).toBe(false);
  });

  it.each([true, false])("that is about to offer when an offer comes takes its lines; polite: %s", async (polite) => {
    const [hers, his] = [peer(polite), peer(!polite)];
    const both = [
      { said: hers.said, to: his.it },
      { said: his.said, to: hers.it },
    ];
    his.it.begin();
    await settle();

    hers.it.begin();
    while (both.some(({ said }) => said.length > 0)) {
      for (const { said, to } of both) for (const signal of said.splice(0)) to.receive(signal);
      await settle();
    }

    for (const { it } of [hers, his]) {
      const lines = it.connection.getTransceivers();
      expect(lines.map(({ direction }) => direction)).toEqual(Array(4).fill("sendrecv"));
      expect(it.unanswered).toBe(false);
    }
  });
});

describe("quality", () => {
  const seen = (second: number, totals: Partial<Totals>, more: Partial<Seen> = {}): Seen => ({
    sample: { totals: { ...NOTHING, ...totals }, ...more.sample },
    life: 1,
    at: second * 1_000,
    reconnecting: false,
    ...more,
  });

  it("one packet in eight lost is told with its number", () => {
    const record = new QualityRecord();

    for (let at = 0; at < 5; at += 1) record.see(seen(at, { audio_received: 70 * at, audio_lost: 10 * at }));

    expect(record.now).toMatchObject({ level: 1, reason: "loss", text: "13 % of the packets are lost.", loss: 0.125 });
  });

  it("a window holds differences, also over a new peer connection whose totals begin anew", () => {
    const record = new QualityRecord();
    for (let at = 0; at <= 10; at += 1) {
      const life = at < 5 ? 1 : 2;
      record.see(seen(at, { audio_received: 1_000 + 50 * (life === 1 ? at : at - 25), bytesIn: 1_000 * at }, { life }));
    }

    const [window] = record.ready(false);

    expect(window).toMatchObject({ at: 0, ms: 10_000, audio_lost: 0 });
    expect(window!.audio_received).toBe(4 * 50 + (1_000 + 50 * -20) + 5 * 50);
  });

  it("no more than thirty windows wait", () => {
    const record = new QualityRecord();

    for (let at = 0; at < 1_000; at += 1) record.see(seen(at, {}));

    expect(record.ready(false)).toHaveLength(30);
  });

  it("the open window is told at the end, and what was sent is not told again", () => {
    const record = new QualityRecord();
    for (let at = 0; at < 13; at += 1) record.see(seen(at, {}));
    record.sent(record.ready(false));

    expect(record.ready(true).map(({ at, ms }) => [at, ms])).toEqual([[10_000, 2_000]]);
  });

  it.each([
    [5, undefined],
    [6, "bandwidth"],
  ] as const)("an encoder that is held back for %i of ten seconds makes the window's limit %s", (seconds, limit) => {
    const record = new QualityRecord();

    for (let at = 0; at <= 20; at += 1) {
      const held = at >= 1 && at <= seconds;
      record.see(seen(at, {}, { sample: { totals: NOTHING, ...(held && { limited: "bandwidth" }) } }));
    }

    expect(record.ready(false).map(({ limited }) => limited)).toEqual([limit, undefined]);
  });

  it("the pair is found where no transport names it", () => {
    const report = new Map<string, unknown>([
      ["a", { type: "candidate-pair", nominated: true, state: "succeeded", bytesReceived: 5 }],
      ["b", { id: "b", type: "candidate-pair", selected: true, state: "succeeded", bytesReceived: 7, currentRoundTripTime: 0.1 }],
    ]);

    const { totals, rtt_ms, pairId } = readStats(report as unknown as RTCStatsReport);

    expect([totals.bytesIn, rtt_ms, pairId]).toEqual([7, 100, "b"]);
  });
});

describe("sending signals", () => {
  class Line {
    said: string[] = [];
    refuse: (() => Error) | undefined;
    request = async (_name: string, { signal }: { signal: { sdp: string } }): Promise<object> => {
      if (this.refuse) throw this.refuse();
      this.said.push(signal.sdp);
      return {};
    };
  }

  const offer = (sdp: string) => ({ type: "offer", sdp }) as const;

  function signaler() {
    const [line, clock] = [new Line(), new VirtualClock()];
    return { line, clock, signaler: new Signaler("c", line as unknown as Transport, clock) };
  }

  it("what the line lost goes out in order when it is back", async () => {
    const { line, signaler: out } = signaler();
    line.refuse = () => new Offline();
    for (const sdp of ["1", "2", "3"]) out.send("d", offer(sdp));
    await settle();

    line.refuse = undefined;
    out.flush();
    await settle();

    expect(line.said).toEqual(["1", "2", "3"]);
  });

  it("only so many wait", async () => {
    const { line, signaler: out } = signaler();
    line.refuse = () => new Offline();
    for (let turn = 0; turn < 1_000; turn += 1) out.send("d", offer(`${turn}`));
    await settle();

    line.refuse = undefined;
    out.flush();
    await settle();

    expect([line.said.length, line.said[0]]).toEqual([100, "900"]);
  });

  it("too often: again when the server says", async () => {
    const { line, clock, signaler: out } = signaler();
    line.refuse = () => errorFrom({ code: "rate_limited", text: "", retry_after_s: 0.5 });
    out.send("d", offer("1"));
    await settle();
    line.refuse = undefined;

    await clock.pass(600);

    expect(line.said).toEqual(["1"]);
  });
});
