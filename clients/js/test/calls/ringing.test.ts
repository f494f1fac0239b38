import { describe, expect, it } from "vitest";

import { settle } from "../virtual_clock.js";
import { House, sent } from "./house.js";

describe("ringing", () => {
  it("a call rings until it is answered, and then both hear and see each other", async () => {
    const house = new House();
    const { alice, bob, hers, his } = await house.call();

    expect([hers.phase, his.phase]).toEqual(["connected", "connected"]);
    expect(bob.calls.ringing).toEqual([]);
    expect(hers.remote[0]).toMatchObject({ user_id: "bob", device_id: "d-bob" });
    for (const call of [hers, his]) {
      expect(call.remote[0]!.audio?.getTracks()).toHaveLength(1);
      expect(call.remote[0]!.camera?.getTracks()).toHaveLength(1);
      expect(sent(call)).toEqual(["camera", "mic"]);
    }
    expect(alice.calls.inRoom("garden")?.state).toBe("active");
  });

  it("the one who answers makes the only offer", async () => {
    const house = new House();
    await house.call();

    expect(house.board.carried.filter((line) => !line.endsWith("candidate"))).toEqual([
      "d-bob d-alice offer",
      "d-alice d-bob answer",
    ]);
  });

  it("a call that nobody answers ends by itself, and rings no more", async () => {
    const house = new House();
    const [alice, bob] = [await house.join("alice"), await house.join("bob")];
    const hers = await alice.calls.start("garden", "audio");
    await settle();
    expect(bob.calls.ringing).toHaveLength(1);

    await house.clock.pass(46_000);

    expect([hers.phase, hers.reason]).toEqual(["ended", "no_answer"]);
    expect(bob.calls.ringing).toEqual([]);
  });

  it("a device whose server is away stops ringing when the call's time is over", async () => {
    const house = new House();
    const [alice, bob] = [await house.join("alice"), await house.join("bob")];
    await alice.calls.start("garden", "audio");
    await settle();
    bob.line.cut();

    await house.clock.pass(46_000);

    expect(bob.calls.ringing).toEqual([]);
  });

  it("a device that comes up while it rings, rings", async () => {
    const house = new House();
    const alice = await house.join("alice");
    await alice.calls.start("garden", "audio");

    const bob = await house.join("bob");

    expect(bob.calls.ringing.map(({ call }) => call.started_by)).toEqual(["alice"]);
  });

  it("what rang and ended while the line was down is forgotten after the reconnect", async () => {
    const house = new House();
    const [alice, bob] = [await house.join("alice"), await house.join("bob")];
    const hers = await alice.calls.start("garden", "audio");
    await settle();
    bob.line.cut();
    await hers.leave();
    bob.line.plug();
    await house.clock.pass(2_500);

    expect(bob.calls.ringing).toEqual([]);
    expect(bob.calls.inRoom("garden")).toBeUndefined();
  });

  it("what was not told of its end rings no more once it was answered in vain", async () => {
    const house = new House();
    const [alice, bob] = [await house.join("alice"), await house.join("bob")];
    const hers = await alice.calls.start("garden", "audio");
    await settle();
    house.board.calls.get(hers.id)!.state = "ended";

    await expect(bob.calls.accept(hers.id)).rejects.toMatchObject({ code: "conflict" });

    expect(bob.calls.ringing).toEqual([]);
  });

  it("declining ends the call of two", async () => {
    const house = new House();
    const [alice, bob] = [await house.join("alice"), await house.join("bob")];
    const hers = await alice.calls.start("garden", "audio");
    await settle();

    await bob.calls.decline(hers.id);
    await settle();

    expect([hers.phase, hers.reason]).toEqual(["ended", "declined"]);
    alice.calls.dismiss();
    expect(alice.calls.current).toBeUndefined();
  });

  it("two who call each other at once are in one call", async () => {
    const house = new House();
    const [alice, bob] = [await house.join("alice"), await house.join("bob")];

    const [hers, his] = await Promise.all([alice.calls.start("garden", "video"), bob.calls.start("garden", "video")]);
    await house.clock.pass(1_000);

    expect(hers.id).toBe(his.id);
    expect([hers.phase, his.phase]).toEqual(["connected", "connected"]);
  });

  it("one who is in a call starts no other, and ends it by answering another", async () => {
    const house = new House();
    const { alice, hers, bob } = await house.call();
    await expect(alice.calls.start("other", "audio")).rejects.toMatchObject({ code: "conflict" });
    const carol = await house.join("carol");
    await carol.calls.start("other", "audio");
    await settle();
    expect(bob.calls.ringing).toHaveLength(1);

    const second = await bob.calls.accept(bob.calls.ringing[0]!.call.id);
    await house.clock.pass(1_000);

    expect(hers.phase).toBe("ended");
    expect(second.phase).toBe("connected");
  });
});
