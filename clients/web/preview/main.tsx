/**
 * The page without a server, for looking at it while drawing: `npm run dev -w web`, then /preview/.
 * Alice's view of one lively group on the server in memory of the SDK's tests; nothing is kept.
 */

import { render } from "preact";

import { Hubbub, MemoryOutboxStore, MemorySessionStore } from "@hubbub/client";

import { FakeServer, FakeTransport } from "../../js/test/fake_server";
import { App } from "../src/app";
import { Drafts } from "../src/drafts";
import "../src/styles.css";

const server = new FakeServer();
server.now = Date.now() - 90_000_000;
const say = (who: string, body: string, fields: object = {}) => {
  server.now += who === "alice" ? 60_000 : 2_400_000;
  return server.append(who, { content: { type: "text", body }, ...fields });
};

server.append("alice", { type: "room", content: { changes: { kind: "group", name: "Garden" } } });
say("bob", "Morning! The tomatoes are out of the greenhouse.");
say("bob", "Pictures at https://example.org/tomatoes (the red ones).");
const plan = say("alice", "Lovely. Shall we water them together at six? I can bring the long hose, and somebody should look after the beans because the fence is still broken.");
say("carol", "I can do six.", { reply_to: plan.seq });
server.append("bob", { type: "reaction", target_seq: plan.seq, content: { emoji: "👍", op: "add" } });
server.append("carol", { type: "reaction", target_seq: plan.seq, content: { emoji: "🎉", op: "add" } });
say("alice", "Great", { client_id: "c1" });
const slip = say("bob", "Typo hree");
server.append("bob", { type: "edit", target_seq: slip.seq, content: { type: "text", body: "Bring gloves, @alice" }, mentions: { user_ids: ["alice"] } });
const oops = say("carol", "wrong room");
server.append("carol", { type: "delete", target_seq: oops.seq, content: {} });
say("carol", "In the thread", { thread_seq: plan.seq });

const fetch = async (input: unknown, init?: RequestInit): Promise<Response> => {
  const path = new URL(String(input), "http://fake").pathname;
  const who = path.split("/").pop()!;
  const user = (id: string) => ({ id, username: id, display_name: id[0]!.toUpperCase() + id.slice(1) });
  if (path.startsWith("/api/v1/users/")) return Response.json(user(who));
  if (path === "/api/v1/users") return Response.json({ users: ["bob", "carol"].map(user) });
  if (path.endsWith("/members")) {
    const members = ["alice", "bob", "carol"].map((id) => ({ user: user(id), role: "member", joined_at: 0 }));
    return Response.json({ members });
  }
  if (path === "/api/v1/sessions" && !init?.body) return Response.json({ sessions: [] });
  return server.fetch(input, init);
};
const transport = new FakeTransport(server, "alice");
const client = new Hubbub({ transport, fetch, outbox: new MemoryOutboxStore(), sessions: new MemorySessionStore() });
const drafts = new Drafts(sessionStorage, () => client.me?.id);
Object.assign(globalThis, { preview: { server, transport, client } });

if (location.search === "?out") render(<App client={client} drafts={drafts} fragment={{}} />, document.getElementById("app")!);
else {
  await client.logIn({ username: "alice", password: "" });
  render(<App client={client} drafts={drafts} fragment={{}} />, document.getElementById("app")!);
}
