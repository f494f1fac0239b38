import { afterEach, describe, expect, it } from "vitest";

import { bodyOf, Hubbub, MemoryOutboxStore, type Message } from "../src/index.js";
import { FakeServer, FakeTransport } from "./fake_server.js";
import { settle, VirtualClock } from "./virtual_clock.js";

const clients: Hubbub[] = [];
afterEach(() => clients.splice(0).forEach((client) => client.stop()));

async function join(server: FakeServer, userId: string, outbox = new MemoryOutboxStore()) {
  const clock = new VirtualClock();
  const line = new FakeTransport(server, userId);
  const client = new Hubbub({ url: "http://fake", transport: line, fetch: server.fetch, outbox, clock });
  clients.push(client);
  await client.logIn({ username: userId, password: "12345678" });
  await settle();
  await client.openRoom("garden");
  return { client, line, clock, outbox };
}

const texts = (client: Hubbub) =>
  client
    .items("garden")
    .filter((view) => view.item.kind === "message")
    .map((view) => bodyOf((view.item as Message).content));

const progress = (client: Hubbub) => client.items("garden").map((view) => view.progress);

describe("the login", () => {
  it("who logs out is not told that he was signed out elsewhere, though the server says so first", async () => {
    const server = new FakeServer();
    const { client, line } = await join(server, "alice");
    const reasons: string[] = [];
    client.on("ended", ({ reason }) => reasons.push(reason));
    server.onEnd = () => line.deliver("session:ended", { reason: "revoked" });

    await client.logOut();

    expect(reasons).toEqual(["logged_out"]);
  });
});

describe("sending", () => {
  it("a message shows as waiting at once and as sent when the server has it", async () => {
    const server = new FakeServer();
    const { client, line } = await join(server, "alice");
    line.cut();
    await client.send("garden", "hello");
    expect(progress(client)).toEqual(["waiting"]);

    line.plug();
    await settle();

    expect(progress(client)).toEqual(["sent"]);
    expect(client.waiting).toBe(0);
  });

  it("messages written offline go out in order after the reconnect", async () => {
    const server = new FakeServer();
    const { client, line } = await join(server, "alice");
    line.cut();
    for (const text of ["one", "two", "three"]) await client.send("garden", text);

    line.plug();
    await settle();

    expect(server.log.map((event) => bodyOf(event.content))).toEqual(["one", "two", "three"]);
    expect(texts(client)).toEqual(["one", "two", "three"]);
  });

  it("a message whose acknowledgement was lost is neither lost nor doubled", async () => {
    const server = new FakeServer();
    const { client, line } = await join(server, "alice");
    line.loseAcks = true;
    line.loseEvents = true;
    await client.send("garden", "once");
    await settle();
    expect(server.log).toHaveLength(1);
    line.cut();
    line.loseAcks = false;
    line.loseEvents = false;

    line.plug();
    await settle();

    expect(server.log).toHaveLength(1);
    expect(texts(client)).toEqual(["once"]);
    expect(client.waiting).toBe(0);
  });

  it("what a closed client had not sent goes out when it is opened again", async () => {
    const server = new FakeServer();
    const first = await join(server, "alice");
    first.line.cut();
    await first.client.send("garden", "before the reload");
    first.client.stop();

    const second = await join(server, "alice", first.outbox);

    await settle();
    expect(server.log).toHaveLength(1);
    expect(texts(second.client)).toEqual(["before the reload"]);
  });

  it("a rate-limited message goes out by itself after the named pause, before later ones", async () => {
    const server = new FakeServer();
    const { client, clock } = await join(server, "alice");
    server.refusals = [{ code: "rate_limited", text: "Slowly.", retry_after_s: 2 }];
    await client.send("garden", "first");
    await client.send("garden", "second");
    await clock.pass(1_900);
    expect(server.log).toHaveLength(0);

    await clock.pass(200);

    expect(server.log.map((event) => bodyOf(event.content))).toEqual(["first", "second"]);
  });

  it("a refused message says why and does not hold up the next", async () => {
    const server = new FakeServer();
    const { client } = await join(server, "alice");
    server.refusals = [{ code: "too_large", text: "Too long.", field: "content.body" }];
    await client.send("garden", "long");
    await client.send("garden", "short");
    await settle();

    expect(progress(client)).toEqual(["sent", "failed"]);
    expect(client.items("garden")[1]?.error).toBe("Too long.");
  });

  it("a refused message goes out under a new id when retried", async () => {
    const server = new FakeServer();
    const { client } = await join(server, "alice");
    server.refusals = [{ code: "forbidden", text: "Not now." }];
    const refused = await client.send("garden", "again");
    await settle();

    await client.retry(refused);
    await settle();

    expect(progress(client)).toEqual(["sent"]);
    expect(server.log[0]?.client_id).not.toBe(refused);
  });

  it("an id with a wrong date is made anew by the server's clock", async () => {
    const server = new FakeServer();
    const { client } = await join(server, "alice");
    const now = 1_800_000_000_000;
    server.refusals = [{ code: "invalid", text: "Clock.", field: "client_id", data: { now } }];

    await client.send("garden", "dated");
    await settle();

    const date = parseInt(server.log[0]!.client_id!.replace("-", "").slice(0, 12), 16);
    expect(Math.abs(date - now)).toBeLessThan(1_000);
  });
});

describe("following", () => {
  it("what was missed comes in order and once after the reconnect", async () => {
    const server = new FakeServer();
    const { client, line } = await join(server, "alice");
    const heard: number[] = [];
    client.on("event", (event) => heard.push(event.seq));
    server.append("bob");
    line.cut();
    for (let count = 0; count < 450; count += 1) server.append("bob");

    line.plug();
    server.append("bob");
    await settle();

    expect(heard).toEqual(Array.from({ length: 452 }, (_, index) => index + 1));
  });

  it("a hole in the live events is filled before what came after it is shown", async () => {
    const server = new FakeServer();
    const { client, line } = await join(server, "alice");
    line.loseEvents = true;
    server.append("bob");
    line.loseEvents = false;

    server.append("bob");
    await settle();

    expect(texts(client)).toEqual(["text 1", "text 2"]);
  });

  it("another log starts the room anew", async () => {
    const server = new FakeServer();
    for (let count = 0; count < 5; count += 1) server.append("bob");
    const { client, line } = await join(server, "alice");
    line.cut();
    server.log.length = 0;
    server.logId = "log-2";
    server.append("bob", { content: { type: "text", body: "restored" } });

    line.plug();
    await settle();

    expect(texts(client)).toEqual(["restored"]);
  });

  it("history comes page by page, without a hole", async () => {
    const server = new FakeServer();
    for (let count = 0; count < 150; count += 1) server.append("bob");
    const { client } = await join(server, "alice");
    expect(texts(client)).toHaveLength(60);

    await client.loadOlder("garden");
    await client.loadOlder("garden");

    expect(texts(client)).toEqual(Array.from({ length: 150 }, (_, index) => `text ${index + 1}`));
    expect(client.hasOlder("garden")).toBe(false);
  });

  it("unread counts what others wrote since, and falls to zero when it is read", async () => {
    const server = new FakeServer();
    server.append("bob");
    const { client } = await join(server, "alice");
    server.append("bob");
    expect(client.room("garden")?.unread).toBe(2);

    client.markRead("garden", 2);

    expect(client.room("garden")?.unread).toBe(0);
  });

  it("the members are counted as they come and go", async () => {
    const server = new FakeServer();
    const { client } = await join(server, "alice");
    const member = (change: string) =>
      server.append("carol", { type: "member", content: { user_id: "carol", change, by: "carol" } });
    member("joined");
    expect(client.room("garden")?.member_count).toBe(3);

    member("left");

    expect(client.room("garden")?.member_count).toBe(2);
  });

  it("a message is read once every other member has read it", async () => {
    const server = new FakeServer();
    const { client, line } = await join(server, "alice");
    await client.send("garden", "seen?");
    await settle();
    const receipt = { room_id: "garden", user_id: "bob", delivered_seq: 1, read_seq: 0 };
    line.deliver("room:receipt", receipt);
    expect(progress(client)).toEqual(["delivered"]);

    line.deliver("room:receipt", { ...receipt, read_seq: 1 });

    expect(progress(client)).toEqual(["read"]);
  });

  it("typing ends by itself after six seconds", async () => {
    const server = new FakeServer();
    const { client, line, clock } = await join(server, "alice");
    line.deliver("room:typing", { room_id: "garden", user_id: "bob", typing: true });
    expect(client.people.typingIn("garden")).toEqual(["bob"]);

    await clock.pass(6_000);

    expect(client.people.typingIn("garden")).toEqual([]);
  });

  it("an expiring message is blanked when its time comes", async () => {
    const server = new FakeServer();
    const { client, clock } = await join(server, "alice");
    server.append("bob", { expires_at: clock.now() + 5_000 });
    expect(texts(client)).toEqual(["text 1"]);

    await clock.pass(5_100);

    expect(texts(client)).toEqual([null]);
  });
});

describe("the session", () => {
  it("a revoked session logs out, one that merely ends with the server does not", async () => {
    const server = new FakeServer();
    const { client, line } = await join(server, "alice");
    const reasons: string[] = [];
    client.on("ended", ({ reason }) => reasons.push(reason));
    line.deliver("session:ended", { reason: "shutdown" });
    expect(client.session).not.toBeNull();

    line.deliver("session:ended", { reason: "revoked" });

    expect(reasons).toEqual(["revoked"]);
    expect(client.session).toBeNull();
  });
});
