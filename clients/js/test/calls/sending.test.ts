import { describe, expect, it } from "vitest";

import { settle } from "../virtual_clock.js";
import { House, newest, sent } from "./house.js";

describe("what is sent", () => {
  it("muting, camera off and a shared screen are seen by the other side, without another offer", async () => {
    const house = new House();
    const { hers, his, alice } = await house.call();
    const offers = house.board.carried.length;

    await hers.mute(true);
    await hers.camera(false);
    await hers.shareScreen(true);
    await house.clock.pass(500);

    expect(sent(his)).toEqual(["screen", "screen_audio"]);
    expect(his.remote[0]!.screen).toBeDefined();
    expect(hers.localScreen).toBeDefined();
    expect(house.board.carried).toHaveLength(offers);
    expect(alice.tab.fakeDevices.taken.find(({ kind }) => kind === "video")!.readyState).toBe("ended");
  });

  it("the browser's own button ends the sharing", async () => {
    const house = new House();
    const { hers, his, alice } = await house.call("audio");
    await hers.shareScreen(true);
    await house.clock.pass(500);

    alice.tab.fakeDevices.live("video")!.end();
    await house.clock.pass(500);

    expect(sent(his)).toEqual(["mic"]);
    expect([...hers.sending]).toEqual(["mic"]);
  });

  it("a line that nothing is put into takes no bandwidth", async () => {
    const { alice, hers } = await new House().call();
    const active = () => newest(alice.tab).transceivers.map(({ sender }) => sender.encodings[0]!["active"]);

    expect(active()).toEqual([true, true, false, false]);

    await hers.shareScreen(true);
    await settle();
    expect(active()).toEqual([true, true, true, true]);
    await hers.camera(false);
    await settle();
    expect(active()).toEqual([true, false, true, true]);
  });

  it("who chooses no screen goes on as before", async () => {
    const house = new House();
    const { hers, alice } = await house.call("audio");
    alice.tab.fakeDevices.refuse.display = "NotAllowedError";

    await hers.shareScreen(true);

    expect([hers.problem, hers.sending.has("screen")]).toEqual([undefined, false]);
  });

  it.each([
    ["NotAllowedError", "The browser was not allowed to use the microphone. Allow it by the sign beside the address."],
    ["NotFoundError", "There is no microphone."],
    ["NotReadableError", "The microphone cannot be opened: perhaps another program uses it."],
  ])("without a microphone (%s) the call goes on and says why", async (name, text) => {
    const house = new House();
    const [alice, bob] = [await house.join("alice"), await house.join("bob")];
    alice.tab.fakeDevices.refuse.audio = name;
    const hers = await alice.calls.start("garden", "video");
    await settle();
    const his = await bob.calls.accept(hers.id);
    await house.clock.pass(1_000);

    expect(hers.problem).toBe(text);
    expect(sent(his)).toEqual(["camera"]);
    expect(his.phase).toBe("connected");
  });

  it("what is to be done about a browser that allows neither is said once", async () => {
    const house = new House();
    const alice = await house.join("alice");
    alice.tab.fakeDevices.refuse = { audio: "NotAllowedError", video: "NotAllowedError" };

    const hers = await alice.calls.start("garden", "video");
    await settle();

    expect(hers.problem?.match(/not allowed/g)).toHaveLength(2);
    expect(hers.problem?.match(/Allow it/g)).toHaveLength(1);
  });

  it("a microphone that is pulled out is replaced by another", async () => {
    const house = new House();
    const { hers, his, alice } = await house.call("audio");
    const first = alice.tab.fakeDevices.live("audio")!;

    first.end();
    await house.clock.pass(500);

    expect(hers.problem).toBe("The microphone is gone: another one is used.");
    expect(alice.tab.fakeDevices.live("audio")).not.toBe(first);
    expect(sent(his)).toEqual(["mic"]);
  });

  it("a microphone that is plugged in later is used", async () => {
    const house = new House();
    const [alice, bob] = [await house.join("alice"), await house.join("bob")];
    alice.tab.fakeDevices.refuse.audio = "NotFoundError";
    const hers = await alice.calls.start("garden", "audio");
    const his = await (await settle(), bob.calls.accept(hers.id));
    await house.clock.pass(500);
    expect(sent(his)).toEqual([]);

    alice.tab.fakeDevices.refuse = {};
    alice.tab.fakeDevices.plugged();
    await house.clock.pass(500);

    expect(sent(his)).toEqual(["mic"]);
    expect(hers.problem).toBeUndefined();
  });

  it("everything that was taken is given back at the end", async () => {
    const house = new House();
    const { hers, his, alice, bob } = await house.call();

    await hers.leave();
    await house.clock.pass(100);

    expect([his.phase, his.reason]).toEqual(["ended", "hung_up"]);
    for (const { tab } of [alice, bob]) {
      expect(tab.fakeDevices.taken.every(({ readyState }) => readyState === "ended")).toBe(true);
    }
    expect(house.network.peers.size).toBe(0);
  });

  it("a permission that comes after the end takes nothing", async () => {
    const house = new House();
    const alice = await house.join("alice");
    const hers = await alice.calls.start("garden", "video");
    void hers.leave();

    await house.clock.pass(500);

    expect(alice.tab.fakeDevices.taken.every(({ readyState }) => readyState === "ended")).toBe(true);
  });
});
