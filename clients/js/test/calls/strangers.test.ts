import { describe, expect, it } from "vitest";

import { FakeTransport } from "../fake_server.js";
import { settle } from "../virtual_clock.js";
import { House, newest } from "./house.js";

describe("foreign and hostile devices", () => {
  const OFFER =
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\na=fingerprint:sha-256 FO:RE:IG\r\na=ice-ufrag:foreign\r\n" +
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=candidate:1 1 udp 1 10.0.0.2 9 typ host\r\n";

  /** Bob is a client of another make: what he hears is collected, what he says is written by hand. */
  async function withForeigner(house: House) {
    const alice = await house.join("alice");
    const line = new FakeTransport(house.server, "bob");
    const heard: { type: string; sdp: string; sources: Record<string, string> }[] = [];
    line.open({
      connected: () => undefined,
      disconnected: () => undefined,
      received: (name, payload) => {
        if (name === "call:signal") heard.push((payload as { signal: (typeof heard)[0] }).signal);
      },
    });
    const hers = await alice.calls.start("garden", "audio");
    await line.request("call:accept", { call_id: hers.id });
    await settle();
    const say = (signal: unknown) =>
      line.request("call:signal", { call_id: hers.id, to_device_id: "d-alice", signal });
    return { alice, hers, heard, say };
  }

  it("an offer with one line and no word on its source is answered with the microphone", async () => {
    const house = new House();
    const { alice, heard, say } = await withForeigner(house);

    await say({ type: "offer", sdp: OFFER });
    await house.clock.pass(100);

    expect(heard[0]).toMatchObject({ type: "answer", sources: { "0": "mic" } });
    expect(newest(alice.tab).transceivers[0]!.sender.track?.kind).toBe("audio");
  });

  it("a source that its offer has no line for gets one by another offer", async () => {
    const house = new House();
    const { hers, heard, say } = await withForeigner(house);
    await say({ type: "offer", sdp: OFFER });
    await house.clock.pass(100);

    await hers.camera(true);
    await house.clock.pass(100);

    const offer = heard.find(({ type }) => type === "offer");
    expect(offer?.sources).toEqual({ "0": "mic", "1": "camera" });
  });

  it("one that never offers gets an offer", async () => {
    const house = new House();
    const { heard } = await withForeigner(house);

    await house.clock.pass(5_000);

    expect(heard[0]).toMatchObject({ type: "offer" });
  });

  it.each([
    ["null", null],
    ["a number", 7],
    ["a list", ["offer"]],
    ["no sdp", { type: "offer" }],
    ["an sdp that is none", { type: "offer", sdp: "v=0\r\nrubbish" }],
    ["an endless sdp", { type: "offer", sdp: `v=0${"x".repeat(70_000)}` }],
    ["a thousand lines", { type: "offer", sdp: OFFER + "m=video 9 X 1\r\n".repeat(1_000) }],
    ["an answer to nothing", { type: "answer", sdp: OFFER }],
    ["a candidate of nothing", { type: "candidate", candidate: { candidate: "x", sdpMid: {} } }],
    ["a candidate that is a text", { type: "candidate", candidate: "candidate:1" }],
    ["sources that are no map", { type: "offer", sdp: "v=0", sources: 5 }],
    ["a poisoned map", JSON.parse(`{"type":"offer","sdp":"v=0","sources":{"__proto__":"mic","0":"nose"}}`)],
  ])("%s as signal does nothing, and a good offer after it is answered", async (_name, signal) => {
    const house = new House();
    const { hers, heard, say } = await withForeigner(house);

    await say(signal);
    await say({ type: "offer", sdp: OFFER });
    await house.clock.pass(100);

    expect(heard.filter(({ type }) => type === "answer")).toHaveLength(1);
    expect(hers.phase).toBe("connecting");
  });

  it("a thousand offers of ever new connections make only a few of ours", async () => {
    const house = new House();
    const { say } = await withForeigner(house);
    const before = house.network.made;

    for (let turn = 0; turn < 1_000; turn += 1) await say({ type: "offer", sdp: OFFER.replace("FO:RE:IG", `${turn}`) });
    await house.clock.pass(1_000);

    expect(house.network.made - before).toBeLessThanOrEqual(6);
  });

  it("a flood of candidates is not kept", async () => {
    const house = new House();
    const { alice, hers, say } = await withForeigner(house);
    const candidate = { candidate: "candidate:1 1 udp 1 10.0.0.3 9 typ host", sdpMid: "0" };

    for (let turn = 0; turn < 3_000; turn += 1) {
      await say({ type: "candidate", candidate });
      if (turn % 100 === 0) await settle(); // at once they would be dropped before they are looked at
    }
    await say({ type: "offer", sdp: OFFER });
    await house.clock.pass(1_000);

    expect(newest(alice.tab).given).toBeLessThanOrEqual(200);
    expect(hers.phase).toBe("connecting");
  });
});
