import { describe, expect, it } from "vitest";

import { colourOf, dayName, initialsOf, linkPieces, listNames } from "../src/format";
import { parseFragment } from "../src/fragment";

const DAY_MS = 86_400_000;

describe("links in a text", () => {
  const links = (text: string) => linkPieces(text).flatMap((piece) => piece.href ?? []);

  it("keep the words around them", () => {
    const text = "See https://a.example/x, and http://b.example.";

    expect(linkPieces(text).map((piece) => piece.text).join("")).toBe(text);
    expect(links(text)).toEqual(["https://a.example/x", "http://b.example"]);
  });

  it("leave out a closing bracket that is not theirs", () => {
    expect(links("(https://a.example/x)")).toEqual(["https://a.example/x"]);
    expect(links("https://a.example/x_(y)")).toEqual(["https://a.example/x_(y)"]);
  });

  it("are of http and https only", () => {
    expect(links("javascript:alert(1) data:text/html,x file:///etc/passwd")).toEqual([]);
  });
});

describe("a fragment", () => {
  it("carries a login or an invitation", () => {
    expect(parseFragment("#login=a-b_c")).toEqual({ login: "a-b_c" });
    expect(parseFragment("#invite=x%2By")).toEqual({ invite: "x+y" });
    expect(parseFragment("")).toEqual({});
  });
});

describe("words", () => {
  it("name the day as people do", () => {
    const noon = new Date(2026, 5, 10, 12).getTime();

    expect(dayName(noon, noon)).toBe("Today");
    expect(dayName(noon - DAY_MS, noon)).toBe("Yesterday");
    expect(dayName(noon - 400 * DAY_MS, noon)).toContain("2025");
  });

  it("list names without growing long", () => {
    expect(listNames(["Ann", "Bob"])).toBe("Ann and Bob");
    expect(listNames(["Ann", "Bob", "Cyd", "Dan"])).toBe("Ann, Bob and 2 more");
  });

  it("make initials of any name, and one colour for one id", () => {
    expect(initialsOf("ada lovelace")).toBe("AL");
    expect(initialsOf(" ")).toBe("?");
    expect(colourOf("u-1")).toBe(colourOf("u-1"));
  });
});
