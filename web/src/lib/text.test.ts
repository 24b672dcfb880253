import { describe, expect, it } from "vitest";
import { escapeInvisible, sanitizeLine } from "./text";

describe("sanitizeLine", () => {
  it("removes invisible characters, control characters and line breaks", () => {
    expect(sanitizeLine(" a\u202e\u200b b\n\tc\u0000\ufeff ")).toBe("a b c");
    expect(sanitizeLine("한국어 👋 é")).toBe("한국어 👋 é");
  });
});

describe("escapeInvisible", () => {
  it("makes deceptive characters visible", () => {
    expect(escapeInvisible("a\u202eb\u200bc")).toBe("a⟨U+202E⟩b⟨U+200B⟩c");
    expect(escapeInvisible("plain\n한")).toBe("plain\n한");
  });
});
