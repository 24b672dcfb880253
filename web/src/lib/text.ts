/** Protection against invisible and bidirectional control characters in untrusted text. */
const INVISIBLE_CHARACTERS =
  /[\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\u00ad\u061c\u180e]/g;
/** Without U+200C, U+200D, U+FEFF and U+00AD, which also have legitimate uses. */
const DECEPTIVE_CHARACTERS = /[\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\u061c\u180e]/g;
const CONTROL_CHARACTERS = /\p{Cc}/gu;

/** A name or title as a single line without invisible or control characters. */
export function sanitizeLine(text: string): string {
  return text.replace(INVISIBLE_CHARACTERS, "").replace(/\s+/g, " ").replace(CONTROL_CHARACTERS, "").trim();
}

/** Code or a URL with deceptive characters replaced by visible escapes such as `⟨U+202E⟩`. */
export function escapeInvisible(text: string): string {
  return text.replace(
    DECEPTIVE_CHARACTERS,
    (character) => `\u27e8U+${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}\u27e9`,
  );
}
