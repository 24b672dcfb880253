import { Fragment } from "react";

/** A text with the matches of a search query highlighted. */
export function HighlightedText({ text, query }: { text: string; query: string }) {
  return splitMatches(text, query).map(({ text: segment, isMatch }, index) =>
    isMatch ? (
      // biome-ignore lint/suspicious/noArrayIndexKey: segments have no other identity than their index.
      <mark key={index} className="rounded-xs bg-warning-soft text-ink">
        {segment}
      </mark>
    ) : (
      // biome-ignore lint/suspicious/noArrayIndexKey: as above.
      <Fragment key={index}>{segment}</Fragment>
    ),
  );
}

/** Splits a text into matches of the query, ignoring case, and the segments between them. */
export function splitMatches(text: string, query: string): { text: string; isMatch: boolean }[] {
  const [haystack, needle] = [text.toLowerCase(), query.toLowerCase()];
  // Lower case changes the length of a few characters, so indexes would not match the text.
  if (!needle || haystack.length !== text.length) return [{ text, isMatch: false }];
  const segments: { text: string; isMatch: boolean }[] = [];
  let from = 0;
  for (let index = haystack.indexOf(needle); index >= 0; index = haystack.indexOf(needle, from)) {
    if (index > from) segments.push({ text: text.slice(from, index), isMatch: false });
    segments.push({ text: text.slice(index, index + needle.length), isMatch: true });
    from = index + needle.length;
  }
  if (from < text.length) segments.push({ text: text.slice(from), isMatch: false });
  return segments;
}
