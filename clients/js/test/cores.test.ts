import "fake-indexeddb/auto";
import { describe, expect, it } from "vitest";

import { errorFrom } from "../src/errors.js";
import { Fold } from "../src/fold.js";
import { Http } from "../src/http.js";
import { ClientIds, uuidv7 } from "../src/ids.js";
import { OutboxQueue, type Entry } from "../src/outbox.js";
import { IndexedDbOutboxStore, MemoryOutboxStore } from "../src/outbox_store.js";
import { ReceiptQueue } from "../src/receipts.js";
import { MemorySessionStore } from "../src/session.js";
import { Timeline } from "../src/timeline.js";
import type { LogEvent } from "../src/wire.js";
import { FakeServer } from "./fake_server.js";
import { VirtualClock } from "./virtual_clock.js";

function event(seq: number, fields: Partial<LogEvent> = {}): LogEvent {
  const base = { room_id: "garden", log_id: "log-1", seq, id: `e-${seq}`, at: seq, type: "message" };
  return { ...base, sender_id: "bob", device_id: "d", content: { type: "text", body: `${seq}` }, ...fields };
}

function entry(order: number, fields: Partial<Entry> = {}): Entry {
  const client_id = fields.client_id ?? `c-${order}`;
  const payload = { room_id: "garden", client_id, content: { type: "text", body: "x" } };
  return { client_id, room_id: "garden", event: "message:send", payload, created_at: 0, order, ...fields };
}

/** A generator of numbers in 0..1 that gives the same ones for the same seed (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

describe("client ids", () => {
  it("are UUIDs of version 7 that carry their date", () => {
    const id = uuidv7(0x0123456789ab, () => new Uint8Array(10).fill(0xff));

    expect(id).toBe("01234567-89ab-7fff-bfff-ffffffffffff");
  });

  it("ascend although the clock stands still", () => {
    const ids = new ClientIds(() => 1_700_000_000_000);
    const made = Array.from({ length: 50 }, () => ids.next());

    expect([...made].sort()).toEqual(made);
  });
});

describe("the timeline", () => {
  const follow = () => {
    const heard: number[] = [];
    const note = (events: readonly LogEvent[]) => heard.push(...events.map((one) => one.seq));
    return { heard, timeline: new Timeline("log-1", { appended: note, restarted: () => undefined }) };
  };

  it("is strictly in order, each once, however live events and pages are mixed", () => {
    for (let seed = 1; seed <= 200; seed += 1) {
      const random = seeded(seed);
      const { heard, timeline } = follow();
      const log = Array.from({ length: 40 }, (_, index) => event(index + 1));
      for (let step = 0; step < 120; step += 1) {
        if (random() < 0.7) timeline.live(log[Math.floor(random() * log.length)]!);
        else timeline.fill(log.slice(timeline.high, timeline.high + Math.floor(random() * 5)));
        expect(heard, `seed ${seed}`).toEqual(log.slice(0, timeline.high).map((one) => one.seq));
      }
      timeline.fill(log.slice(timeline.high));
      expect(heard, `seed ${seed}`).toHaveLength(40);
    }
  });

  it("asks to start anew when an event of another log comes", () => {
    const { timeline } = follow();

    expect(timeline.live(event(1, { log_id: "log-2" }))).toBe("reset");
  });

  it("refuses a page of history that would leave a hole", () => {
    const { timeline } = follow();
    timeline.restart("log-1", 1, [event(10)], 10);

    expect(timeline.prepend({ log_id: "log-1", first_seq: 1, events: [event(7), event(8)] })).toBe(false);
    expect(timeline.low).toBe(10);
  });
});

describe("the fold", () => {
  const folded = (...events: LogEvent[]) => {
    const fold = new Fold("alice");
    fold.restart(events);
    return fold;
  };

  it("an edit replaces the content and is marked", () => {
    const fold = folded(event(1), event(2, { type: "edit", target_seq: 1, content: { type: "text", body: "new" } }));

    expect(fold.message(1)).toMatchObject({ content: { body: "new" }, edited_seq: 2 });
  });

  it("a deleted message stays as a blank and cannot be edited any more", () => {
    const fold = folded(
      event(1),
      event(2, { type: "delete", target_seq: 1, content: {} }),
      event(3, { type: "edit", target_seq: 1, content: { type: "text", body: "back" } }),
    );

    expect(fold.message(1)).toMatchObject({ content: null, gone: "deleted" });
  });

  it("reactions are counted by person and vanish with the last one", () => {
    const react = (seq: number, sender_id: string, op: string) =>
      event(seq, { type: "reaction", target_seq: 1, sender_id, content: { emoji: "👍", op } });
    const both = folded(event(1), react(2, "alice", "add"), react(3, "bob", "add"), react(4, "bob", "add"));
    expect(both.message(1)?.reactions).toEqual([
      { emoji: "👍", count: 2, mine: true, user_ids: ["alice", "bob"] },
    ]);

    both.apply(react(5, "alice", "remove"));
    both.apply(react(6, "bob", "remove"));

    expect(both.message(1)?.reactions).toEqual([]);
  });

  it("replies in a thread are counted at its first message", () => {
    const fold = folded(event(1), event(2, { thread_seq: 1 }), event(3, { thread_seq: 1 }));

    expect(fold.message(1)?.thread).toEqual({ count: 2, last_seq: 3 });
  });

  it("is the same for state and events as for all events at once", () => {
    const events = [
      event(1),
      event(2, { type: "reaction", target_seq: 1, content: { emoji: "🎉", op: "add" } }),
      event(3, { type: "edit", target_seq: 1, content: { type: "text", body: "e" } }),
      event(4, { thread_seq: 1 }),
      event(5, { type: "delete", target_seq: 4, content: {} }),
    ];
    for (let cut = 0; cut <= events.length; cut += 1) {
      const fold = folded(...events.slice(0, cut));
      for (const later of events.slice(cut)) fold.apply(later);
      expect(fold.items).toEqual(folded(...events).items);
    }
  });
});

describe("the outbox", () => {
  it("sends one command of each room at a time, in the order in which they were made", () => {
    const queue = new OutboxQueue([entry(2), entry(1), entry(3, { room_id: "hall" })]);
    expect(queue.take(0).map((one) => one.client_id)).toEqual(["c-1", "c-3"]);
    expect(queue.take(0)).toEqual([]);

    queue.done("c-1");

    expect(queue.take(0).map((one) => one.client_id)).toEqual(["c-2"]);
  });

  it("sends what was under way again after a disconnect", () => {
    const queue = new OutboxQueue([entry(1), entry(2)]);
    queue.take(0);

    queue.disconnected();

    expect(queue.take(0).map((one) => one.client_id)).toEqual(["c-1"]);
  });

  it("rests a room for as long as the server says", () => {
    const queue = new OutboxQueue([entry(1)]);
    queue.take(0);
    const limited = errorFrom({ code: "rate_limited", text: "", retry_after_s: 1.5 });

    expect(queue.refused("c-1", limited, 0)).toEqual({ kind: "retry", afterMs: 1_500 });
    expect(queue.take(1_499)).toEqual([]);
    expect(queue.take(1_500)).toHaveLength(1);
  });

  it.each([new MemoryOutboxStore(), new IndexedDbOutboxStore()])("%o keeps each user's entries", async (store) => {
    await store.put("alice", entry(1));
    await store.put("alice", entry(2));
    await store.put("bob", entry(3));

    await store.remove("alice", "c-1");

    expect((await store.load("alice")).map((one) => one.client_id)).toEqual(["c-2"]);
    expect((await store.load("bob")).map((one) => one.client_id)).toEqual(["c-3"]);
  });
});

describe("receipts", () => {
  it("only grow, and are sent until the server confirms them", () => {
    const queue = new ReceiptQueue();
    expect(queue.note("garden", { read_seq: 5 })).toBe(true);
    queue.note("garden", { read_seq: 4 });
    expect(queue.due()).toEqual([["garden", { delivered_seq: 5, read_seq: 5 }]]);

    queue.confirm("garden", { delivered_seq: 5, read_seq: 5 });

    expect(queue.due()).toEqual([]);
    expect(queue.note("garden", { delivered_seq: 5 })).toBe(false);
  });
});

describe("tokens", () => {
  it("are refreshed once although many calls find them expired", async () => {
    const server = new FakeServer();
    const clock = new VirtualClock();
    let refreshes = 0;
    const fetch = async (input: unknown, init?: RequestInit) => {
      if (!String(input).endsWith("/refresh")) return Response.json({});
      refreshes += 1;
      expect(init?.body).toBe(JSON.stringify({ refresh_token: `r-${refreshes}` }));
      return Response.json({ ...server.session("alice"), refresh_token: `r-${refreshes + 1}` });
    };
    const http = new Http("http://fake", new MemorySessionStore(), clock, fetch as typeof globalThis.fetch);
    http.keep({ ...server.session("alice"), access_token: "old", refresh_token: "r-1", expires_in_s: 1 });

    await Promise.all(Array.from({ length: 5 }, () => http.get("/api/v1/me")));

    expect(refreshes).toBe(1);
  });
});
