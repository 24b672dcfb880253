import { Fragment } from "react";

/** A text in which the words that were searched for are marked. */
export function Marked({ text, words }: { text: string; words: string }) {
  return pieces(text, words).map(({ text: piece, hit }, index) =>
    hit ? (
      // biome-ignore lint/suspicious/noArrayIndexKey: pieces of one text have no other name.
      <mark key={index} className="rounded-xs bg-warning-soft text-ink">
        {piece}
      </mark>
    ) : (
      // biome-ignore lint/suspicious/noArrayIndexKey: as above.
      <Fragment key={index}>{piece}</Fragment>
    ),
  );
}

/** The text cut at each place where the words stand, in any case of their letters. */
export function pieces(text: string, words: string): { text: string; hit: boolean }[] {
  const [where, what] = [text.toLowerCase(), words.toLowerCase()];
  // A few letters change their length with their case: then no place is the same in both.
  if (!what || where.length !== text.length) return [{ text, hit: false }];
  const found: { text: string; hit: boolean }[] = [];
  let from = 0;
  for (let at = where.indexOf(what); at >= 0; at = where.indexOf(what, from)) {
    if (at > from) found.push({ text: text.slice(from, at), hit: false });
    found.push({ text: text.slice(at, at + what.length), hit: true });
    from = at + what.length;
  }
  if (from < text.length) found.push({ text: text.slice(from), hit: false });
  return found;
}
