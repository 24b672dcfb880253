/** Checks of the URLs in a model's text. */
import { escapeInvisible } from "../../lib/text";

const GATEWAY_IMAGE_PATH = /^\/?api\/v1\/media\/images\/([0-9a-f-]{36})$/i;
const LEADING_HOST = /^\s*(?:https?:\/\/)?((?:[\p{L}\p{N}-]+\.)+[\p{L}]{2,})(?:[/:?#\s]|$)/iu;
const SAFE_PROTOCOLS = ["http:", "https:", "mailto:"];
const MAX_DISPLAY_LENGTH = 200;

/** The URL of a link that may be followed; null for all others (`javascript:`, relative, invalid). */
export function safeUrl(href: string): URL | null {
  let url: URL;
  try {
    url = new URL(href);
  } catch {
    return null;
  }
  return SAFE_PROTOCOLS.includes(url.protocol) ? url : null;
}

/** The id of an image stored by this gateway, from its path or its absolute URL. */
export function gatewayImageId(href: string, baseUrl: string): string | null {
  const path = href.startsWith(baseUrl) ? href.slice(baseUrl.length) : href;
  return GATEWAY_IMAGE_PATH.exec(path)?.[1] ?? null;
}

/** Whether a link's text names another host than its target. */
export function isMisleading(text: string, target: URL): boolean {
  const namedHost = LEADING_HOST.exec(text)?.[1];
  if (!namedHost || target.protocol === "mailto:") return false;
  return namedHost.toLowerCase().replace(/^www\./, "") !== target.hostname.replace(/^www\./, "");
}

/** A URL for display: truncated, with invisible characters escaped. */
export function displayUrl(href: string): string {
  const escaped = escapeInvisible(href);
  return escaped.length > MAX_DISPLAY_LENGTH ? `${escaped.slice(0, MAX_DISPLAY_LENGTH)}…` : escaped;
}
