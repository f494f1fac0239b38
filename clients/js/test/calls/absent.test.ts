import { describe, expect, it } from "vitest";

import { Hubbub } from "../../src/index.js";
import { FakeServer, FakeTransport } from "../fake_server.js";
import { clients, House } from "./house.js";

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
