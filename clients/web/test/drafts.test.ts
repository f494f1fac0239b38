import { describe, expect, it } from "vitest";

import { Drafts, type DraftStorage } from "../src/drafts";

class MemoryStorage implements DraftStorage {
  readonly kept = new Map<string, string>();
  full = false;

  get length(): number {
    return this.kept.size;
  }

  key(index: number): string | null {
    return [...this.kept.keys()][index] ?? null;
  }

  getItem(key: string): string | null {
    return this.kept.get(key) ?? null;
  }

  setItem(key: string, value: string): void {
    if (this.full) throw new DOMException("", "QuotaExceededError");
    this.kept.set(key, value);
  }

  removeItem(key: string): void {
    this.kept.delete(key);
  }
}

function page(storage: DraftStorage, me = "alice") {
  const login = { me: me as string | undefined };
  let ticks = storage.length;
  return { login, drafts: new Drafts(storage, () => login.me, () => (ticks += 1)) };
}

describe("drafts", () => {
  it("are there again in a page that was loaded anew, each where it was written", () => {
    const storage = new MemoryStorage();
    page(storage).drafts.change("garden", { text: "shall we ", reply: 7 });
    page(storage).drafts.change("garden/7", { text: "in the thread" });

    const { drafts } = page(storage);

    expect(drafts.of("garden")).toEqual({ text: "shall we ", reply: 7 });
    expect(drafts.of("garden/7").text).toBe("in the thread");
    expect(drafts.of("kitchen").text).toBe("");
  });

  it("leave nothing behind when they are sent", () => {
    const storage = new MemoryStorage();
    const { drafts } = page(storage);
    drafts.change("garden", { text: "shall we", reply: 7 });

    drafts.change("garden", { text: "", reply: undefined });

    expect(drafts.of("garden")).toEqual({ text: "" });
    expect(storage.length).toBe(0);
  });

  it("end with the login, and only with one's own", () => {
    const storage = new MemoryStorage();
    page(storage, "bob").drafts.change("garden", { text: "his" });
    const { drafts, login } = page(storage);
    drafts.change("garden", { text: "hers" });

    login.me = undefined;
    drafts.clear();

    expect(page(storage, "alice").drafts.of("garden").text).toBe("");
    expect(page(storage, "bob").drafts.of("garden").text).toBe("his");
  });

  it("of the one who was logged in before are not those of the next", () => {
    const { drafts, login } = page(new MemoryStorage());
    drafts.change("garden", { text: "hers" });

    login.me = "bob";

    expect(drafts.of("garden").text).toBe("");
  });

  it("are bounded in length and number, the oldest goes first", () => {
    const storage = new MemoryStorage();
    const { drafts } = page(storage);
    for (let room = 0; room < 60; room += 1) drafts.change(`room-${room}`, { text: "x".repeat(20_000) });
    page(storage).drafts.change("room-10", { text: "touched" });
    drafts.reload();

    drafts.change("one-more", { text: "new" });

    expect(storage.length).toBe(50);
    expect(drafts.of("room-12").text).toHaveLength(16_384);
    expect(["room-10", "room-11"].map((room) => drafts.of(room).text)).toEqual(["touched", ""]);
  });

  it("are kept until the page is left where the storage takes nothing", () => {
    const storage = new MemoryStorage();
    storage.full = true;
    const { drafts } = page(storage);

    drafts.change("garden", { text: "shall we" });

    expect(drafts.of("garden").text).toBe("shall we");
  });

  it("that another tab wrote are read, and rubbish in the storage is not", () => {
    const storage = new MemoryStorage();
    const [one, two] = [page(storage).drafts, page(storage).drafts];
    let told = 0;
    two.listen(() => (told += 1));
    one.change("garden", { text: "from here" });
    for (const rubbish of ["{", "null", "7", '{"text":5,"at":1}', '{"text":"x"}']) {
      storage.setItem(`hubbub.draft.alice.r${storage.length}`, rubbish);
    }

    two.reload();

    expect([told, two.of("garden").text, two.of("r1").text]).toEqual([1, "from here", ""]);
  });
});
