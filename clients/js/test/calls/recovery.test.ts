import { describe, expect, it } from "vitest";

import { settle } from "../virtual_clock.js";
import { House, newest } from "./house.js";

describe("recovery", () => {
  it("a relay that is killed and comes back is found again within two seconds", async () => {
    const house = new House();
    const { hers, his } = await house.call();
    await house.clock.pass(5_000);

    house.network.killRelay();
    await house.clock.pass(500);
    house.network.startRelay();
    await house.clock.pass(2_000);

    expect([hers.phase, his.phase]).toEqual(["connected", "connected"]);
  });

  it("meanwhile it says that it reconnects", async () => {
    const house = new House();
    const { hers } = await house.call();
    await house.clock.pass(3_000);

    house.network.killRelay();
    await house.clock.pass(3_000);

    expect(hers.phase).toBe("reconnecting");
    expect(hers.quality).toMatchObject({ level: 0, reason: "reconnecting" });
  });

  it("an outage of ten seconds is survived", async () => {
    const house = new House();
    const { hers, his } = await house.call();
    await house.clock.pass(3_000);
    house.network.cut();
    await house.clock.pass(10_000);

    house.network.mend();
    await house.clock.pass(5_000);

    expect([hers.phase, his.phase]).toEqual(["connected", "connected"]);
  });

  it("a relay that is away for half a minute is found within five seconds of its return", async () => {
    const house = new House();
    const { hers, his } = await house.call();
    await house.clock.pass(3_000);
    house.network.killRelay();
    await house.clock.pass(30_000);

    house.network.startRelay();
    await house.clock.pass(5_000);

    expect([hers.phase, his.phase]).toEqual(["connected", "connected"]);
    expect(his.remote[0]!.audio).toBeDefined();
  });

  it("a server that restarts with its relay: the call is back, with fresh credentials", async () => {
    const house = new House();
    const { alice, bob, hers, his } = await house.call();
    await house.clock.pass(3_000);
    for (const { line } of [alice, bob]) line.cut();
    house.network.killRelay();
    house.board.forgetHeld();
    await house.clock.pass(4_000);
    expect(hers.phase).toBe("reconnecting");

    house.network.startRelay();
    const before = newest(alice.tab).configuration.iceServers;
    for (const { line } of [alice, bob]) line.plug();
    await house.clock.pass(5_000);

    expect([hers.phase, his.phase]).toEqual(["connected", "connected"]);
    expect(newest(alice.tab).configuration.iceServers).not.toEqual(before);
  });

  it("while packets flow, a server that restarts costs neither offers nor frames", async () => {
    const house = new House();
    const { alice, hers } = await house.call();
    await house.clock.pass(3_000);
    const carried = house.board.carried.length;
    alice.line.cut();
    await house.clock.pass(2_000);
    expect(hers.phase).toBe("reconnecting");

    alice.line.plug();
    await house.clock.pass(1_000);

    expect(hers.phase).toBe("connected");
    expect(house.board.carried).toHaveLength(carried);
  });

  it("in a call the server is tried every second, however long it is away", async () => {
    const house = new House();
    const { alice } = await house.call();
    alice.line.cut();

    await house.clock.pass(10_500);

    expect(alice.line.retries).toBe(10);
  });

  it("signals that the line lost are sent again", async () => {
    const house = new House();
    const [alice, bob] = [await house.join("alice"), await house.join("bob")];
    const hers = await alice.calls.start("garden", "video");
    await settle();
    const accepting = bob.calls.accept(hers.id);
    bob.line.loseAcks = false;
    const his = await accepting;
    bob.line.cut();
    await house.clock.pass(1_000);

    bob.line.plug();
    await house.clock.pass(1_500);

    expect([hers.phase, his.phase]).toEqual(["connected", "connected"]);
  });

  it("both look for new paths at once: the offers cross and the call is back", async () => {
    const house = new House();
    const { hers, his } = await house.call();
    await house.clock.pass(2_000);
    house.network.killRelay();
    house.network.startRelay();

    hers.reconnect();
    his.reconnect();
    await house.clock.pass(1_500);

    expect([hers.phase, his.phase]).toEqual(["connected", "connected"]);
  });

  it("another network is not waited for", async () => {
    const house = new House();
    const { alice, hers, his } = await house.call();
    await house.clock.pass(2_000);
    house.network.killRelay();
    house.network.startRelay();

    alice.tab.page!.networkChanged();
    await house.clock.pass(600);

    expect([hers.phase, his.phase]).toEqual(["connected", "connected"]);
  });

  it("nobody who says nothing is taken for dead", async () => {
    const house = new House();
    const { alice, bob, hers } = await house.call("audio");
    for (const { tab } of [alice, bob]) for (const pc of tab.connections) {
      for (const { sender } of pc.transceivers) await sender.replaceTrack(null);
    }
    await house.clock.pass(10_000);
    const carried = house.board.carried.length;

    await house.clock.pass(60_000);

    expect(hers.phase).toBe("connected");
    expect(house.board.carried).toHaveLength(carried);
  });

  it("a call that ended while the line was down is over", async () => {
    const house = new House();
    const { alice, bob, hers, his } = await house.call();
    alice.line.cut();
    await his.leave();
    await house.clock.pass(1_000);

    alice.line.plug();
    await house.clock.pass(500);

    expect([hers.phase, hers.reason]).toEqual(["ended", "hung_up"]);
    expect(bob.calls.current!.phase).toBe("ended");
  });

  it("one who left while the line was down is out when it is back", async () => {
    const house = new House();
    const { alice, hers, his } = await house.call();
    alice.line.cut();
    await hers.leave();
    await house.clock.pass(1_000);

    alice.line.plug();
    await house.clock.pass(500);

    expect([his.phase, his.reason]).toEqual(["ended", "hung_up"]);
  });
});
