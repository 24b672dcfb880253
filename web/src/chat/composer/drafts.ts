/** What was typed and not sent, by place, as long as the page lives. */
const drafts = new Map<string, string>();

export function draftOf(place: string): string {
  return drafts.get(place) ?? "";
}

export function keepDraft(place: string, text: string): void {
  if (text) drafts.set(place, text);
  else drafts.delete(place);
}

/** A conversation has got its id: what was typed meanwhile goes with it. */
export function moveDraft(from: string, to: string): void {
  const text = draftOf(from);
  keepDraft(from, "");
  if (text) keepDraft(to, text);
}
