import { describe, expect, it } from "vitest";

import { House } from "./house.js";

const reportsOf = (house: House, token: string) =>
  house.board.reports.filter((report) => report.by === token).map(({ body }) => body);

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
