import type { Token } from "marked";
import { describe, expect, it } from "vitest";
import { NOTHING, type Parsed, parseOn, parseWhole } from "./growing";

const TEXT = `# Title

A paragraph with **bold**, \`code\` and $x^2$.

- one

- two
  1. inner

> quoted
lazily

| a | b |
|---|---|
| 1 | 2 |

\`\`\`js
const a = 1;

const b = 2;
\`\`\`

$$
\\int_0^1 x
$$

Setext
===

1. a

2. b

The end.
`;

const shapes = (parsed: Parsed) =>
  [...parsed.finished, ...parsed.open].map(({ type, raw }: Token) => [type, raw]);

function grow(text: string, step: number): Parsed {
  let parsed = NOTHING;
  for (let end = step; end < text.length + step; end += step) parsed = parseOn(parsed, text.slice(0, end));
  return parsed;
}

describe("a growing text", () => {
  it("has in the end the blocks of the whole, however it came", () => {
    for (const step of [1, 2, 3, 7, 50]) expect(shapes(grow(TEXT, step))).toEqual(shapes(parseWhole(TEXT)));
  });

  it("keeps finished blocks as they are, and parses only its end", () => {
    const before = grow(TEXT, 10);
    const after = parseOn(before, `${TEXT}\nMore.`);
    expect(before.finished.length).toBeGreaterThan(8);
    for (const [index, token] of before.finished.entries()) expect(after.finished[index]).toBe(token);
  });

  it("that was replaced is parsed anew", () => {
    expect(shapes(parseOn(grow(TEXT, 10), "Else."))).toEqual([["paragraph", "Else."]]);
  });

  it("takes any line end", () => {
    expect(shapes(parseOn(NOTHING, "a\r\n\r\nb"))).toEqual(shapes(parseWhole("a\n\nb")));
  });

  it("knows at its end what it defines there", () => {
    const [paragraph] = parseWhole("[a][1]\n\n[1]: https://example.org").finished as [
      Token & { tokens: Token[] },
    ];
    expect(paragraph.tokens[0]?.type).toBe("link");
  });
});

describe("a text that nobody reads", () => {
  it("is plain where a line is endless or nesting bottomless, and takes no time", () => {
    const started = performance.now();
    for (const text of [
      "*".repeat(1_000_000),
      `${">".repeat(15_000)}x`,
      "[".repeat(15_000),
      "a\n".repeat(300_000),
    ])
      expect(parseWhole(text).finished.length).toBeGreaterThan(0);
    expect(parseWhole("x".repeat(1_000_000)).finished[0]?.type).toBe("plain");
    expect(performance.now() - started).toBeLessThan(4000);
  });
});
