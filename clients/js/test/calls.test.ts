import { afterEach, describe, expect, it } from "vitest";

import { Hubbub, MemoryOutboxStore, MemorySessionStore, type ActiveCall } from "../src/index.js";
import { FakeSwitchboard } from "./fake_calls.js";
import { FakeServer, FakeTransport } from "./fake_server.js";
import { FakeBrowser, FakeNetwork, type FakePeerConnection, type FakeTab } from "./fake_webrtc.js";
import { settle, VirtualClock } from "./virtual_clock.js";

const clients: Hubbub[] = [];
afterEach(() => clients.splice(0).forEach((client) => client.stop()));

class House {
  readonly clock = new VirtualClock();
  readonly network = new FakeNetwork(this.clock);
  readonly server = new FakeServer();
  readonly board: FakeSwitchboard;

  constructor() {
    this.board = this.server.calls = new FakeSwitchboard(this.clock, this.server.links);
  }

  async join(username: string, settings: Partial<Settings> = {}) {
    const { deviceId = `d-${username}`, tab = new FakeBrowser(this.network).tab() } = settings;
    const { sessions = new MemorySessionStore() } = settings;
    const line = new FakeTransport(this.server, username, deviceId);
    const client = new Hubbub({
      url: "http://fake",
      transport: line,
      fetch: this.server.fetch,
      outbox: new MemoryOutboxStore(),
      clock: this.clock,
      calls: { environment: tab },
      sessions,
    });
    clients.push(client);
    if (sessions.load()) await client.start();
    else await client.logIn({ username, password: "12345678", device_id: deviceId });
    await settle();
    return { client, line, tab, calls: client.calls };
  }

  /** Alice calls, Bob answers. */
  async call(media: "audio" | "video" = "video", for_ms = 1_000) {
    const [alice, bob] = [await this.join("alice"), await this.join("bob")];
    const hers = await alice.calls.start("garden", media);
    await settle();
    const his = await bob.calls.accept(bob.calls.ringing[0]!.call.id);
    await this.clock.pass(for_ms);
    return { alice, bob, hers, his };
  }
}

interface Settings {
  deviceId: string;
  tab: FakeTab;
  sessions: MemorySessionStore;
}

const sent = (call: ActiveCall) => [...call.remote[0]!.sending].sort();
const reportsOf = (house: House, token: string) =>
  house.board.reports.filter((report) => report.by === token).map(({ body }) => body);
const newest = (tab: FakeTab): FakePeerConnection => tab.connections[tab.connections.length - 1]!;

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

describe("a third in a call of two", () => {
  async function withCarol() {
    const house = new House();
    const { hers } = await house.call();
    const carol = await house.join("carol");
    return { house, hers, carol, running: () => carol.calls.inRoom("garden")! };
  }

  it("has no place, as long as both are there", async () => {
    const { house, carol, running } = await withCarol();
    expect(carol.calls.hasPlace(running())).toBe(false);
    await expect(carol.calls.accept(running().id)).rejects.toMatchObject({ code: "unavailable" });
    const [alice] = running().participants;

    carol.line.deliver("call:state", { call: { ...running(), participants: [alice!], revision: 99 } });
    house.board.places = 3;

    expect(carol.calls.hasPlace(running())).toBe(true);
    expect((await carol.calls.accept(running().id)).phase).toBe("connecting");
  });

  it("who calls there is told why he does not come in", async () => {
    const { carol } = await withCarol();

    const starting = carol.calls.start("garden", "video");

    await expect(starting).rejects.toMatchObject({ code: "unavailable", message: expect.stringMatching(/as many/) });
  });

  it("has one as soon as the server announces an SFU, or the call goes through one", async () => {
    const { house, carol, running } = await withCarol();
    const direct = running();
    expect(carol.calls.hasPlace({ ...direct, mode: "sfu" })).toBe(true);
    carol.line.cut();
    house.server.features.push("sfu");

    carol.line.plug();
    await house.clock.pass(500);

    expect(carol.calls.hasPlace(direct)).toBe(true);
  });

  it("is not another device of one of the two", async () => {
    const { house, hers } = await withCarol();

    const phone = await house.join("bob", { deviceId: "d-phone" });

    expect(phone.calls.hasPlace(phone.calls.inRoom("garden")!)).toBe(true);
    expect((await phone.calls.accept(hers.id, {}, true)).phase).toBe("connecting");
  });
});

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

describe("quality", () => {
  it("what was measured is told every ten seconds and at the end", async () => {
    const house = new House();
    const { hers } = await house.call("audio");
    await house.clock.pass(25_000);
    await hers.leave();
    await house.clock.pass(500);

    const reports = reportsOf(house, "alice");
    const windows = reports.flatMap((body) => body["windows"] as { ms: number; bps_in: number }[]);
    expect(reports[0]).toMatchObject({ pair: { local: "relay", relay_protocol: "udp" } });
    expect(reports[0]!["setup_ms"]).toBeGreaterThan(0);
    expect(windows).toHaveLength(3);
    expect(windows[0]).toMatchObject({ ms: 10_500, audio_lost: 0, rtt_ms: 20 });
    expect(windows[1]!.bps_in).toBe(64_000);
  });

  it("a call that is over before its second sample is told of to its end", async () => {
    const house = new House();
    const { hers } = await house.call("audio", 1_200);
    await hers.leave();
    await house.clock.pass(500);

    const reports = reportsOf(house, "alice");
    expect(reports).toMatchObject([{ pair: { local: "relay" }, windows: [{ rtt_ms: 20 }] }]);
    expect((reports[0]!["windows"] as { ms: number }[])[0]!.ms).toBe(1_000);
  });

  it("what is measured last is told even while a report is under way", async () => {
    const house = new House();
    const { hers } = await house.call("audio");
    await house.clock.pass(5_000);
    house.server.reportsHang = true;
    await house.clock.pass(10_000);
    const before = reportsOf(house, "alice").length;
    await hers.leave();
    await house.clock.pass(500);

    const reports = reportsOf(house, "alice");
    expect(reports).toHaveLength(before + 1);
    const last = reports.at(-1)!["windows"] as { ms: number }[];
    expect(last.map(({ ms }) => Math.floor(ms / 1_000))).toEqual([10, 5]);
  });

  it("packets that flow while the server is away are no outage, those that do not are", async () => {
    const house = new House();
    const { alice, hers } = await house.call("audio");
    await house.clock.pass(3_000);
    alice.line.cut();
    await house.clock.pass(4_000);
    const whileAway = [hers.phase, hers.quality.level];
    alice.line.plug();
    await house.clock.pass(5_000);
    house.network.cut();
    await house.clock.pass(4_000);
    house.network.mend();
    await house.clock.pass(12_000);

    const windows = reportsOf(house, "alice").flatMap((body) => body["windows"] as { reconnecting_ms: number }[]);
    expect(whileAway).toEqual(["reconnecting", 4]);
    expect(windows[0]!.reconnecting_ms).toBe(0);
    expect(windows[1]!.reconnecting_ms).toBeGreaterThan(1_000);
  });

  it("a server that keeps no record is not told", async () => {
    const house = new House();
    house.server.fetch = new Proxy(house.server.fetch, {
      apply: async (target, self, [input, init]: [unknown, RequestInit]) =>
        String(input).endsWith("/server") ? Response.json({ features: ["calls"] }) : target.call(self, input, init),
    });
    const { hers } = await house.call("audio");

    await house.clock.pass(25_000);
    await hers.leave();

    expect(house.board.reports).toEqual([]);
  });
});

describe("where there are no calls", () => {
  it("Node says so", async () => {
    const server = new FakeServer();
    const client = new Hubbub({ url: "http://fake", transport: new FakeTransport(server, "alice"), fetch: server.fetch });
    clients.push(client);

    expect(client.calls.available).toBe(false);
    await expect(client.calls.start("garden", "audio")).rejects.toMatchObject({ code: "unavailable" });
  });

  it("a server without calls says so", async () => {
    const house = new House();
    house.server.calls = undefined;

    const alice = await house.join("alice");

    expect(alice.calls.unavailableBecause).toBe("This server has no calls.");
  });
});

