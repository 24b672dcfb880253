/** Incremental parsing: blocks that are complete are not parsed again while a text grows. */
import type { Token } from "marked";
import { normalizeLineEndings, tokenize } from "./tokenize";

export interface ParsedMarkdown {
  text: string;
  /** Blocks that further text cannot change. */
  closedBlocks: readonly Token[];
  /** The length of the text of the closed blocks. */
  closedLength: number;
  /** The blocks after them, which may still change. */
  openBlocks: readonly Token[];
}

export const EMPTY: ParsedMarkdown = { text: "", closedBlocks: [], closedLength: 0, openBlocks: [] };

/** The last blocks may change: a list continues after an empty line, a paragraph becomes a heading. */
const OPEN_BLOCK_COUNT = 2;

/** Parses `text`, reusing the closed blocks of `before` if the text continues it. */
export function parseIncrementally(before: ParsedMarkdown, text: string): ParsedMarkdown {
  const normalized = normalizeLineEndings(text);
  if (normalized === before.text) return before;
  const { closedBlocks, closedLength } = normalized.startsWith(before.text) ? before : EMPTY;
  const blocks = tokenize(normalized.slice(closedLength));
  const closable = closableCount(blocks, normalized.length - closedLength);
  const newlyClosed = blocks.slice(0, closable);
  return {
    text: normalized,
    closedBlocks: newlyClosed.length > 0 ? [...closedBlocks, ...newlyClosed] : closedBlocks,
    closedLength: closedLength + totalLength(newlyClosed),
    openBlocks: blocks.slice(closable),
  };
}

/** Parses a complete text at once, so that link definitions at its end apply to all of it. */
export function parseComplete(text: string): ParsedMarkdown {
  const normalized = normalizeLineEndings(text);
  return {
    text: normalized,
    closedBlocks: tokenize(normalized),
    closedLength: normalized.length,
    openBlocks: [],
  };
}

/** The number of blocks that can be closed; 0 if the tokens do not cover the whole text. */
function closableCount(tokens: readonly Token[], length: number): number {
  if (totalLength(tokens) !== length) return 0;
  let remaining = OPEN_BLOCK_COUNT;
  for (let index = tokens.length - 1; index >= 0; index -= 1)
    if (tokens[index]?.type !== "space") {
      remaining -= 1;
      if (remaining === 0) return index;
    }
  return 0;
}

function totalLength(tokens: readonly Token[]): number {
  return tokens.reduce((sum, token) => sum + token.raw.length, 0);
}
