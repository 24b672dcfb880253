/** Markdown as marked's tokens; never HTML. Mathematics are tokens of their own. */
import { Marked, type Token, type TokenizerAndRendererExtension } from "marked";

/** `$…$`, `\(…\)`; and `$$…$$` inside of a line. */
const INLINE_MATH = /^(?:\$\$([^$\n]+?)\$\$|\$(?!\s)((?:\\.|[^\\$\n])+?)(?<!\s)\$(?!\d)|\\\(([^\n]+?)\\\))/;
const BLOCK_MATH = /^ {0,3}(?:\$\$([^$]+?)\$\$|\\\[([\s\S]+?)\\\])[^\S\n]*(?:\n|$)/;

export interface MathToken {
  type: "math";
  raw: string;
  text: string;
  block: boolean;
}

const inlineMath: TokenizerAndRendererExtension = {
  name: "inlineMath",
  level: "inline",
  start: (source) => firstOf(source, "$", "\\("),
  tokenizer: (source) => {
    const found = INLINE_MATH.exec(source);
    if (!found) return undefined;
    const text = found[1] ?? found[2] ?? found[3] ?? "";
    return { type: "math", raw: found[0], text, block: found[1] !== undefined };
  },
};

const blockMath: TokenizerAndRendererExtension = {
  name: "blockMath",
  level: "block",
  start: (source) => firstOf(source, "$$", "\\["),
  tokenizer: (source) => {
    const found = BLOCK_MATH.exec(source);
    if (!found) return undefined;
    return { type: "math", raw: found[0], text: (found[1] ?? found[2] ?? "").trim(), block: true };
  },
};

const marked = new Marked({ gfm: true, extensions: [inlineMath, blockMath] });

/** Beyond these a text is nothing that a person wrote or reads as Markdown, and parsing it takes too long. */
const LONGEST_LINE = 20_000;
const LONGEST_TEXT = 400_000;

/** The blocks of a text; one that cannot be parsed in reasonable time is one block of plain text. */
export function lex(text: string): Token[] {
  if (text.length > LONGEST_TEXT || hasLongLine(text)) return [plain(text)];
  try {
    return marked.lexer(text);
  } catch {
    return [plain(text)]; // nested deeper than the stack
  }
}

/** Line ends as marked has them, so that tokens' `raw` add up to the text. */
export function normalise(text: string): string {
  return text.includes("\r") ? text.replace(/\r\n?/g, "\n") : text;
}

function plain(text: string): Token {
  return { type: "plain", raw: text, text };
}

function hasLongLine(text: string): boolean {
  for (let start = 0; start + LONGEST_LINE < text.length; ) {
    const end = text.indexOf("\n", start);
    if ((end < 0 ? text.length : end) - start > LONGEST_LINE) return true;
    if (end < 0) return false;
    start = end + 1;
  }
  return false;
}

function firstOf(source: string, ...marks: string[]): number | undefined {
  const found = marks.map((mark) => source.indexOf(mark)).filter((index) => index >= 0);
  return found.length > 0 ? Math.min(...found) : undefined;
}
