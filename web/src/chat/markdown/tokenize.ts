/** Parses Markdown into marked's tokens, never into HTML. Formulas are tokens of type `math`. */
import { Marked, type Token, type TokenizerAndRendererExtension } from "marked";

/** `$…$`, `\(…\)`, and `$$…$$` within a line. */
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
  start: (source) => firstIndexOf(source, "$", "\\("),
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
  start: (source) => firstIndexOf(source, "$$", "\\["),
  tokenizer: (source) => {
    const found = BLOCK_MATH.exec(source);
    if (!found) return undefined;
    return { type: "math", raw: found[0], text: (found[1] ?? found[2] ?? "").trim(), block: true };
  },
};

const marked = new Marked({ gfm: true, extensions: [inlineMath, blockMath] });

/** Longer texts are not parsed, because parsing would take too long. */
const MAX_LINE_LENGTH = 20_000;
const MAX_TEXT_LENGTH = 400_000;

/** The blocks of a text; a text that is too long or too deeply nested is one block of plain text. */
export function tokenize(text: string): Token[] {
  if (text.length > MAX_TEXT_LENGTH || hasLongLine(text)) return [plainTextToken(text)];
  try {
    return marked.lexer(text);
  } catch {
    return [plainTextToken(text)]; // nested too deeply for the call stack
  }
}

/** Converts line endings as marked does, so that the tokens' `raw` texts add up to the text. */
export function normalizeLineEndings(text: string): string {
  return text.includes("\r") ? text.replace(/\r\n?/g, "\n") : text;
}

function plainTextToken(text: string): Token {
  return { type: "plain", raw: text, text };
}

function hasLongLine(text: string): boolean {
  for (let start = 0; start + MAX_LINE_LENGTH < text.length; ) {
    const end = text.indexOf("\n", start);
    if ((end < 0 ? text.length : end) - start > MAX_LINE_LENGTH) return true;
    if (end < 0) return false;
    start = end + 1;
  }
  return false;
}

function firstIndexOf(source: string, ...markers: string[]): number | undefined {
  const indexes = markers.map((mark) => source.indexOf(mark)).filter((index) => index >= 0);
  return indexes.length > 0 ? Math.min(...indexes) : undefined;
}
