/** What was typed and not sent, by place: it survives a reload of the tab, and ends with the session. */
import { onSessionEnd } from "../../session/token";

const PREFIX = "gw.draft.";
/** Larger drafts live as long as the page: a browser gives a site 5 MB in all. */
const MOST = 200_000;
const drafts = new Map<string, string>();

onSessionEnd(() => {
  drafts.clear();
  for (const name of stored()) forget(name);
});

export function draftOf(place: string): string {
  return drafts.get(place) ?? read(PREFIX + place) ?? "";
}

export function keepDraft(place: string, text: string): void {
  if (text) drafts.set(place, text);
  else drafts.delete(place);
  try {
    if (text && text.length <= MOST) sessionStorage.setItem(PREFIX + place, text);
    else forget(PREFIX + place);
  } catch {
    // storage is switched off or full: the draft lives as long as the page
  }
}

/** A conversation has got its id: what was typed meanwhile goes with it. */
export function moveDraft(from: string, to: string): void {
  const text = draftOf(from);
  keepDraft(from, "");
  if (text) keepDraft(to, text);
}

function stored(): string[] {
  try {
    return Object.keys(sessionStorage).filter((name) => name.startsWith(PREFIX));
  } catch {
    return [];
  }
}

function read(name: string): string | null {
  try {
    return sessionStorage.getItem(name);
  } catch {
    return null;
  }
}

function forget(name: string): void {
  try {
    sessionStorage.removeItem(name);
  } catch {
    // storage is switched off
  }
}
