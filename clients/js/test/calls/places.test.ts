import { describe, expect, it } from "vitest";

import { House } from "./house.js";

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
