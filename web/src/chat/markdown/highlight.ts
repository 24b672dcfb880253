/** Colours for code: loaded when there is code, made once it is whole. */
import type { Root } from "hast";
import { common, createLowlight } from "lowlight";

const lowlight = createLowlight(common);
const LONGEST = 60_000;

/** The tree of a code's words; null where the language is not known or the code too long. */
export function highlight(code: string, language: string): Root | null {
  if (code.length > LONGEST || !lowlight.registered(language)) return null;
  return lowlight.highlight(language, code);
}
