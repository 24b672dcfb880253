/** Characters that turn text around or hide in it: what they do to a name or an address is a trick. */
const TRICKS = /[\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\u00ad\u061c\u180e]/g;
const CONTROLS = /\p{Cc}/gu;

/** A name or title as one line without anything that turns it around or cannot be seen. */
export function plainLine(text: string): string {
  return text.replace(TRICKS, "").replace(/\s+/g, " ").replace(CONTROLS, "").trim();
}

/** Code or an address with such characters made visible, since there they can only deceive. */
export function showTricks(text: string): string {
  return text.replace(
    /[\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\u061c\u180e]/g,
    (character) => `\u27e8U+${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}\u27e9`,
  );
}
