import { describe, expect, it } from "vitest";

import { settle } from "../virtual_clock.js";
import { House } from "./house.js";

describe("states, answers and signals that overtake each other", () => {
  it("a state from before this device came in does not put it out, nor end its connection", async () => {
    const house = new House();
    const [alice, bob] = [await house.join("alice"), await house.join("bob")];
    const hers = await alice.calls.start("garden", "video");
    await settle();
    const [before] = [...house.board.calls.values()].map((call) => structuredClone(call));
    const his = await bob.calls.accept(hers.id);
    for (const one of [alice, bob]) one.line.deliver("call:state", { call: before! });
    await house.clock.pass(1_000);
    for (const one of [alice, bob]) one.line.deliver("call:state", { call: before! });
    await house.clock.pass(1_000);

    expect([hers.phase, his.phase]).toEqual(["connected", "connected"]);
    expect(alice.tab.connections.concat(bob.tab.connections)).toHaveLength(2);
  });

  it("a call that is over does not come back by an older state", async () => {
    const house = new House();
    const { alice, hers } = await house.call();
    const [running] = [...house.board.calls.values()].map((call) => structuredClone(call));
    await hers.leave();
    await settle();

    alice.line.deliver("call:state", { call: running! });
    alice.line.deliver("call:ringing", { call: { ...running!, state: "ringing" }, expires_at: house.clock.now() + 9_000 });

    expect(alice.calls.inRoom("garden")).toBeUndefined();
    expect(alice.calls.ringing).toEqual([]);
  });

  it("an offer that comes before its device is named is not waited for again", async () => {
    const house = new House();
    const [alice, bob] = [await house.join("alice"), await house.join("bob")];
    const hers = await alice.calls.start("garden", "video");
    await settle();
    const deliver = alice.line.deliver.bind(alice.line);
    alice.line.deliver = (name, payload) => {
      const hear = () => deliver(name, payload);
      if (name === "call:state") house.clock.setTimeout(hear, 500);
      else hear();
    };
    const his = await bob.calls.accept(hers.id);
    await house.clock.pass(1_000);

    expect([hers.phase, his.phase]).toEqual(["connected", "connected"]);
    expect(house.board.carried.filter((line) => line.endsWith("offer"))).toEqual(["d-bob d-alice offer"]);
  });

  it("signals of devices that never come are forgotten", async () => {
    const house = new House();
    const { alice, bob, hers, his } = await house.call();
    for (let number = 0; number < 1_000; number += 1) {
      const signal = { type: "offer", sdp: "v=0" };
      alice.line.deliver("call:signal", { call_id: hers.id, from_device_id: `d-${number}`, signal });
    }
    await house.clock.pass(1_000);

    expect([hers.phase, his.phase]).toEqual(["connected", "connected"]);
    expect(alice.tab.connections.concat(bob.tab.connections)).toHaveLength(2);
  });
});
