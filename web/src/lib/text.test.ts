import { describe, expect, it } from "vitest";
import { plainLine, showTricks } from "./text";

describe("text of others", () => {
  it("as a line turns nothing around, hides nothing and breaks nowhere", () => {
    expect(plainLine(" a\u202e\u200b b\n\tc\u0000\ufeff ")).toBe("a b c");
    expect(plainLine("한국어 👋 é")).toBe("한국어 👋 é");
  });

  it("as code shows what would hide", () => {
    expect(showTricks("a\u202eb\u200bc")).toBe("a⟨U+202E⟩b⟨U+200B⟩c");
    expect(showTricks("plain\n한")).toBe("plain\n한");
  });
});
