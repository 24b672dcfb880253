import i18next from "i18next";
import type { codes } from "../i18n/en/codes";

/** What the gateway names by a code, in the reader's words; a name that is not known stays as it is. */
export function sayName(kind: keyof typeof codes, code: string): string {
  const key = `codes.${kind}.${code}`;
  return i18next.exists(key) ? i18next.t(key as "codes.outcomes.ok") : code;
}

/** How a call ended: `ok` and its like, or the code of the error that ended it. */
export function sayOutcome(outcome: string): string {
  const key = `errors.codes.${outcome}`;
  return i18next.exists(key) ? i18next.t(key as "errors.unknown") : sayName("outcomes", outcome);
}
