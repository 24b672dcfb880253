/** Labels for codes that the gateway sends: outcomes, tools, guards, intents, audit actions. */
import i18next from "i18next";
import type { codes } from "./en/codes";

/** The label of a code, or the code itself if it is unknown. */
export function codeLabel(kind: keyof typeof codes, code: string): string {
  const key = `codes.${kind}.${code}`;
  return i18next.exists(key) ? i18next.t(key as "codes.outcomes.ok") : code;
}

/** The label of a call's outcome: a status such as `ok`, or an error code. */
export function outcomeLabel(outcome: string): string {
  const key = `errors.codes.${outcome}`;
  return i18next.exists(key) ? i18next.t(key as "errors.unknown") : codeLabel("outcomes", outcome);
}

const SUCCESSFUL_OUTCOMES: ReadonlySet<string> = new Set(["ok", "cached", "cancelled"]);

export function isSuccessful(outcome: string): boolean {
  return SUCCESSFUL_OUTCOMES.has(outcome);
}
