/** Alice, Bob and whoever else calls, with a server, a network and a time in memory. */

import { afterEach } from "vitest";

import { Hubbub, MemoryOutboxStore, MemorySessionStore, type ActiveCall } from "../../src/index.js";
import { FakeSwitchboard } from "../fake_calls.js";
import { FakeServer, FakeTransport } from "../fake_server.js";
import { FakeBrowser, FakeNetwork, type FakePeerConnection, type FakeTab } from "../fake_webrtc.js";
import { settle, VirtualClock } from "../virtual_clock.js";

/** Stopped after each test. */
export const clients: Hubbub[] = [];
afterEach(() => clients.splice(0).forEach((client) => client.stop()));

export class House {
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

export const sent = (call: ActiveCall) => [...call.remote[0]!.sending].sort();
export const newest = (tab: FakeTab): FakePeerConnection => tab.connections[tab.connections.length - 1]!;
