/** Which addresses of a model's text lead anywhere. */
import { showTricks } from "../../lib/text";

const GATEWAY_IMAGE = /^\/?api\/v1\/media\/images\/([0-9a-f-]{36})$/i;

/** The address of a link that may be followed; null for every other (`javascript:`, relative, broken). */
export function safeAddress(href: string): URL | null {
  let url: URL;
  try {
    url = new URL(href);
  } catch {
    return null;
  }
  return ["http:", "https:", "mailto:"].includes(url.protocol) ? url : null;
}

/** The id of a picture that this gateway keeps, from its path or its whole address. */
export function gatewayImage(href: string, root: string): string | null {
  const path = href.startsWith(root) ? href.slice(root.length) : href;
  return GATEWAY_IMAGE.exec(path)?.[1] ?? null;
}

/** Whether a link's words name another host than it leads to. */
export function deceives(words: string, target: URL): boolean {
  const named = /^\s*(?:https?:\/\/)?((?:[\p{L}\p{N}-]+\.)+[\p{L}]{2,})(?:[/:?#\s]|$)/iu.exec(words)?.[1];
  if (!named || target.protocol === "mailto:") return false;
  return named.toLowerCase().replace(/^www\./, "") !== target.hostname.replace(/^www\./, "");
}

/** An address to be read: short, and with nothing in it that hides. */
export function addressToRead(href: string): string {
  const shown = showTricks(href);
  return shown.length > 200 ? `${shown.slice(0, 200)}…` : shown;
}
