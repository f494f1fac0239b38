import { describe, expect, it } from "vitest";

import { FakeBrowser } from "../fake_webrtc.js";
import { settle } from "../virtual_clock.js";
import { House, sent } from "./house.js";

describe("devices, tabs and reloads", () => {
  it("a call is taken over by another device without a gap", async () => {
    const house = new House();
    const { bob, hers, his } = await house.call();
    const phone = await house.join("bob", { deviceId: "d-phone" });
    const phases = new Set<string>();
    bob.client.on("change", () => phases.add(hers.phase));

    await expect(phone.calls.accept(hers.id)).rejects.toMatchObject({ code: "conflict" });
    const there = await phone.calls.accept(hers.id, {}, true);
    await house.clock.pass(3_000);

    expect([his.phase, his.reason]).toEqual(["ended", "answered_elsewhere"]);
    expect([there.phase, hers.phase]).toEqual(["connected", "connected"]);
    expect(hers.remote.map(({ device_id }) => device_id)).toEqual(["d-phone"]);
    expect([...phases]).toEqual(["connected"]);
  });

  it("starting where another device of mine is says so", async () => {
    const house = new House();
    const { hers } = await house.call();
    const phone = await house.join("bob", { deviceId: "d-phone" });

    const starting = phone.calls.start("garden", "video");

    await expect(starting).rejects.toMatchObject({ code: "conflict", data: { call_id: hers.id } });
  });

  it("of two tabs only the one that answered is in the call, and the other rings no more", async () => {
    const house = new House();
    const browser = new FakeBrowser(house.network);
    const alice = await house.join("alice");
    const one = await house.join("bob", { tab: browser.tab() });
    const two = await house.join("bob", { tab: browser.tab() });
    const hers = await alice.calls.start("garden", "video");
    await settle();
    expect([one, two].map(({ calls }) => calls.ringing.length)).toEqual([1, 1]);

    const his = await one.calls.accept(hers.id);
    await house.clock.pass(1_000);

    expect([hers.phase, his.phase]).toEqual(["connected", "connected"]);
    expect([two.calls.ringing, two.calls.current]).toEqual([[], undefined]);
    expect(two.tab.connections).toEqual([]);
  });

  it("a second tab of the same device takes the call along, and the first lets go", async () => {
    const house = new House();
    const browser = new FakeBrowser(house.network);
    const alice = await house.join("alice");
    const one = await house.join("bob", { tab: browser.tab() });
    const two = await house.join("bob", { tab: browser.tab() });
    const hers = await alice.calls.start("garden", "video");
    await settle();
    const first = await one.calls.accept(hers.id);
    await house.clock.pass(1_000);

    const second = await two.calls.accept(hers.id);
    await house.clock.pass(3_000);

    expect([first.phase, first.reason]).toEqual(["ended", "answered_elsewhere"]);
    expect([hers.phase, second.phase]).toEqual(["connected", "connected"]);
  });

  it("a page that went and was shown again as it was leaves no later call for the one it was in", async () => {
    const house = new House();
    const { alice, bob, hers } = await house.call();
    alice.tab.page!.leaving(); // kept by the browser: nothing is closed
    await hers.leave();
    await settle();
    alice.calls.dismiss();
    bob.calls.dismiss();
    const next = await alice.calls.start("garden", "audio");
    await settle();

    alice.line.cut();
    alice.line.plug();
    await house.clock.pass(1_000);

    expect([alice.calls.current, next.phase]).toEqual([next, "ringing"]);
  });

  it.each(["alice", "bob"])("%s loads the page anew and is back in the call, muted as before", async (who) => {
    const house = new House();
    const { alice, bob, hers, his } = await house.call();
    const [leaves, stays, call] = who === "alice" ? [alice, bob, hers] : [bob, alice, his];
    await call.mute(true);
    await settle();
    leaves.tab.unload();
    leaves.line.cut();
    await house.clock.pass(800);

    const tab = new FakeBrowser(house.network).tab(leaves.tab.storage);
    const again = await house.join(who, { tab });
    await house.clock.pass(2_000);

    expect(again.calls.current?.phase).toBe("connected");
    expect(stays.calls.current!.phase).toBe("connected");
    expect(sent(stays.calls.current!)).toEqual(["camera"]);
    expect(stays.calls.current!.remote[0]!.camera).toBeDefined();
  });

  it("both load the page anew and are back in the call", async () => {
    const house = new House();
    const { alice, bob } = await house.call();
    for (const { tab, line } of [alice, bob]) {
      tab.unload();
      line.cut();
    }
    await house.clock.pass(500);

    const again = await Promise.all(
      [alice, bob].map(({ tab, line }) =>
        house.join(line.userId, { tab: new FakeBrowser(house.network).tab(tab.storage) }),
      ),
    );
    await house.clock.pass(3_000);

    expect(again.map(({ calls }) => calls.current?.phase)).toEqual(["connected", "connected"]);
  });

  it("a page that comes back too late is in no call", async () => {
    const house = new House();
    const { alice } = await house.call();
    alice.tab.unload();
    alice.line.cut();
    await house.clock.pass(16_000);

    const again = await house.join("alice", { tab: new FakeBrowser(house.network).tab(alice.tab.storage) });
    await house.clock.pass(500);

    expect(again.calls.current).toBeUndefined();
  });
});
