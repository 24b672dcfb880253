/** Unsent messages by conversation. They survive a reload of the tab and are deleted when the session ends. */
import { onSessionEnd } from "../../api/access-token";

const STORAGE_PREFIX = "gw.draft.";
/** Longer drafts are kept in memory only, because browsers limit storage to about 5 MB. */
const MAX_STORED_LENGTH = 200_000;
const drafts = new Map<string, string>();

onSessionEnd(() => {
  drafts.clear();
  for (const name of storedNames()) removeItem(name);
});

export function readDraft(conversationKey: string): string {
  return drafts.get(conversationKey) ?? readItem(STORAGE_PREFIX + conversationKey) ?? "";
}

export function saveDraft(conversationKey: string, text: string): void {
  if (text) drafts.set(conversationKey, text);
  else drafts.delete(conversationKey);
  try {
    if (text && text.length <= MAX_STORED_LENGTH)
      sessionStorage.setItem(STORAGE_PREFIX + conversationKey, text);
    else removeItem(STORAGE_PREFIX + conversationKey);
  } catch {
    // Storage is disabled or full: the draft is kept in memory.
  }
}

/** Moves the draft of a new conversation to the id it has been given. */
export function moveDraft(from: string, to: string): void {
  const text = readDraft(from);
  saveDraft(from, "");
  if (text) saveDraft(to, text);
}

function storedNames(): string[] {
  try {
    return Object.keys(sessionStorage).filter((name) => name.startsWith(STORAGE_PREFIX));
  } catch {
    return [];
  }
}

function readItem(name: string): string | null {
  try {
    return sessionStorage.getItem(name);
  } catch {
    return null;
  }
}

function removeItem(name: string): void {
  try {
    sessionStorage.removeItem(name);
  } catch {
    // Storage is disabled.
  }
}
