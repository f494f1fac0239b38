import { describe, expect, it } from "vitest";

import type { CallReason } from "@hubbub/client";

import { endedBecause } from "../src/calls/ending";
import { keyName, shortcutOf } from "../src/calls/running/shortcuts";
import { clockOf, endWords, pairWords, rateOf, recordOf, recordWords, wasMissed } from "../src/calls/words";

const ANSWERED = [
  { user_id: "alice", device_id: "a1", joined_at: 1_000, left_at: 200_000 },
  { user_id: "bob", device_id: "b1", joined_at: 8_000, left_at: 200_000 },
];

function record(outcome: CallReason, participants: object[] = ANSWERED.slice(0, 1), media = "video") {
  const content = { call_id: "c1", media, started_at: 1_000, ended_at: 200_000, outcome, participants };
  return recordOf({ seq: 7, at: 200_001, sender_id: "alice", type: "call", content }, "room")!;
}

describe("a call in the log", () => {
  it("lasts from the moment that somebody answered", () => {
    expect(recordWords(record("hung_up", ANSWERED), "bob")).toBe("Video call, 3:12");
    expect(record("hung_up", ANSWERED).userIds).toEqual(["alice", "bob"]);
  });

  it("was missed by whom it rang for in vain, and not by who called or declined", () => {
    expect(recordWords(record("no_answer"), "bob")).toBe("Missed video call");
    expect(recordWords(record("cancelled", undefined, "audio"), "bob")).toBe("Missed call");
    expect(wasMissed(record("no_answer"), "alice")).toBe(false);
    expect(wasMissed(record("hung_up", ANSWERED), "bob")).toBe(false);
    expect(recordWords(record("declined"), "bob")).toBe("Declined video call");
  });

  it("tells who called why nobody came", () => {
    expect(recordWords(record("no_answer"), "alice")).toBe("Video call, no answer");
    expect(recordWords(record("busy"), "alice")).toBe("Video call, busy");
  });

  it("is nothing else, and may be of a newer shape", () => {
    const event = { seq: 1, at: 1, sender_id: "alice", type: "call", content: null };

    expect(recordOf(event, "room")).toBeUndefined();
    expect(recordOf({ ...event, type: "member", content: { call_id: "x" } }, "room")).toBeUndefined();
    expect(recordOf({ ...event, content: { call_id: "x", participants: "?" } }, "room")?.talkMs).toBe(0);
  });
});

describe("words", () => {
  it("tell how long", () => {
    expect(clockOf(0)).toBe("0:00");
    expect(clockOf(-5_000)).toBe("0:00");
    expect(clockOf(3_723_000)).toBe("1:02:03");
  });

  it("tell who ended a call", () => {
    const ending = { reason: "hung_up" as const, name: "Bob", direct: true, mine: true, byMe: false };

    expect(endWords(ending)).toBe("Bob hung up.");
    expect(endWords({ ...ending, byMe: true })).toBe("You hung up.");
    expect(endWords({ ...ending, direct: false })).toBe("The call is over.");
    expect(endWords({ ...ending, reason: "busy" })).toBe("Bob is in another call.");
    expect(endWords({ ...ending, reason: "cancelled", mine: false })).toBe("Bob stopped calling.");
  });

  it("tell the same of the end wherever the call is shown", () => {
    const room = { id: "r1", kind: "direct", user_ids: ["alice", "bob"] };
    const people = { user: (id: string) => ({ id, username: id, display_name: "Bob" }) };
    const client = { me: { id: "alice" }, people, room: (id: string) => (id === "r1" ? room : undefined) };
    const call = { roomId: "r1", reason: "no_answer", call: { started_by: "alice" } };
    const told = (change: object) => endedBecause(client as never, { ...call, ...change } as never, false);

    expect(told({})).toBe("Bob did not answer.");
    expect(told({ call: { started_by: "bob" } })).toBe("Nobody answered.");
    expect(told({ roomId: "one I have left", reason: "cancelled", call: { started_by: "bob" } })).toBe(
      "The other side stopped calling.",
    );
  });

  it("tell what a path says of the network", () => {
    expect(pairWords({ local: "host", remote: "host", protocol: "udp" })).toContain("within one network");
    expect(pairWords({ local: "relay", remote: "host", protocol: "udp", relay_protocol: "tcp" })).toContain(
      "blocks UDP",
    );
    expect(pairWords({ local: "relay", remote: "host", protocol: "udp", relay_protocol: "tls" })).toContain("TLS");
    expect(pairWords({ local: "host", remote: "relay", protocol: "udp" })).toContain("other side");
  });

  it("tell rates in units that people know", () => {
    expect(rateOf(1_250_000)).toBe("1.3 Mbit/s");
    expect(rateOf(32_400)).toBe("32 kbit/s");
  });
});

describe("keys", () => {
  const press = (key: string, more: object = {}) =>
    shortcutOf({ key, shiftKey: false, target: null, ...more } as unknown as KeyboardEvent);

  // Node has no Element; the page's own typing is tried in a browser.
  Object.assign(globalThis, { Element: globalThis.Element ?? class {} });

  it("act alone, and hanging up takes two", () => {
    expect(press("m")).toBe("mute");
    expect(press("M")).toBe("mute");
    expect(press("h")).toBeUndefined();
    expect(press("H", { shiftKey: true })).toBe("hangup");
    expect(press("?", { shiftKey: true })).toBe("help");
    expect(keyName("hangup")).toBe("Shift+H");
  });

  it("leave the browser's own and held ones alone", () => {
    expect(press("m", { ctrlKey: true })).toBeUndefined();
    expect(press("s", { metaKey: true })).toBeUndefined();
    expect(press("m", { repeat: true })).toBeUndefined();
  });
});
