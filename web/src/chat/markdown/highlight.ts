/** Syntax highlighting; a chunk of its own, loaded for the first complete code block. */
import type { Root } from "hast";
import { common, createLowlight } from "lowlight";

const lowlight = createLowlight(common);
const MAX_CODE_LENGTH = 60_000;

/** The syntax tree of a code block; null if the language is unknown or the code too long. */
export function highlight(code: string, language: string): Root | null {
  if (code.length > MAX_CODE_LENGTH || !lowlight.registered(language)) return null;
  return lowlight.highlight(language, code);
}
