/** Parsing a text that grows: what is finished is not looked at again. */
import type { Token } from "marked";
import { lex, normalise } from "./lex";

export interface Parsed {
  text: string;
  /** Blocks that further text cannot change, and how much of the text they are. */
  finished: readonly Token[];
  finishedLength: number;
  /** The blocks behind them. */
  open: readonly Token[];
}

export const NOTHING: Parsed = { text: "", finished: [], finishedLength: 0, open: [] };

/** Blocks at the end that may still change: a list goes on after an empty line, a paragraph becomes a heading. */
const OPEN_BLOCKS = 2;

/** The blocks of `text`, which usually goes on from what was parsed before. */
export function parseOn(before: Parsed, text: string): Parsed {
  const whole = normalise(text);
  if (whole === before.text) return before;
  const { finished, finishedLength } = whole.startsWith(before.text) ? before : NOTHING;
  const open = lex(whole.slice(finishedLength));
  const closing = closable(open, whole.length - finishedLength);
  const newly = open.slice(0, closing);
  return {
    text: whole,
    finished: newly.length > 0 ? [...finished, ...newly] : finished,
    finishedLength: finishedLength + lengthOf(newly),
    open: open.slice(closing),
  };
}

/** All blocks of a whole text, with what its end defines (`[1]: address`) known in its beginning. */
export function parseWhole(text: string): Parsed {
  const whole = normalise(text);
  return { text: whole, finished: lex(whole), finishedLength: whole.length, open: [] };
}

function closable(tokens: readonly Token[], length: number): number {
  if (lengthOf(tokens) !== length) return 0;
  let left = OPEN_BLOCKS;
  for (let index = tokens.length - 1; index >= 0; index -= 1)
    if (tokens[index]?.type !== "space") {
      left -= 1;
      if (left === 0) return index;
    }
  return 0;
}

function lengthOf(tokens: readonly Token[]): number {
  return tokens.reduce((sum, token) => sum + token.raw.length, 0);
}
