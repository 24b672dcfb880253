import type { Token } from "marked";
import { describe, expect, it } from "vitest";
import { EMPTY, type ParsedMarkdown, parseComplete, parseIncrementally } from "./incremental";

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

const typesAndSources = (parsed: ParsedMarkdown) =>
  [...parsed.closedBlocks, ...parsed.openBlocks].map(({ type, raw }: Token) => [type, raw]);

function parseGrowing(text: string, step: number): ParsedMarkdown {
  let parsed = EMPTY;
  for (let end = step; end < text.length + step; end += step)
    parsed = parseIncrementally(parsed, text.slice(0, end));
  return parsed;
}

describe("parseIncrementally", () => {
  it("ends with the same blocks as parseComplete, whatever the chunk size", () => {
    for (const step of [1, 2, 3, 7, 50])
      expect(typesAndSources(parseGrowing(TEXT, step))).toEqual(typesAndSources(parseComplete(TEXT)));
  });

  it("reuses closed blocks", () => {
    const before = parseGrowing(TEXT, 10);
    const after = parseIncrementally(before, `${TEXT}\nMore.`);
    expect(before.closedBlocks.length).toBeGreaterThan(8);
    for (const [index, token] of before.closedBlocks.entries()) expect(after.closedBlocks[index]).toBe(token);
  });

  it("parses a replaced text from its start", () => {
    expect(typesAndSources(parseIncrementally(parseGrowing(TEXT, 10), "Else."))).toEqual([
      ["paragraph", "Else."],
    ]);
  });

  it("normalizes line endings", () => {
    expect(typesAndSources(parseIncrementally(EMPTY, "a\r\n\r\nb"))).toEqual(
      typesAndSources(parseComplete("a\n\nb")),
    );
  });
});

describe("parseComplete", () => {
  it("applies link definitions at the end to the whole text", () => {
    const [paragraph] = parseComplete("[a][1]\n\n[1]: https://example.org").closedBlocks as [
      Token & { tokens: Token[] },
    ];
    expect(paragraph.tokens[0]?.type).toBe("link");
  });

  it("returns plain text for extreme input within a short time", () => {
    const started = performance.now();
    for (const text of [
      "*".repeat(1_000_000),
      `${">".repeat(15_000)}x`,
      "[".repeat(15_000),
      "a\n".repeat(300_000),
    ])
      expect(parseComplete(text).closedBlocks.length).toBeGreaterThan(0);
    expect(parseComplete("x".repeat(1_000_000)).closedBlocks[0]?.type).toBe("plain");
    expect(performance.now() - started).toBeLessThan(4000);
  });
});
