/** URLs relative to the page's `<base>`, which includes any path prefix that the gateway is served under. */
export const BASE_URL = new URL(".", document.baseURI);

/** The path prefix of all routes, without a trailing slash. */
export const ROUTER_BASENAME = BASE_URL.pathname.replace(/\/$/, "");

/** The URL of a gateway path; `path` starts with a slash and is relative to the base. */
export function gatewayUrl(path: string): string {
  return ROUTER_BASENAME + path;
}

/** The gateway's absolute URL for use outside the browser, without a trailing slash. */
export function publicUrl(): string {
  return BASE_URL.origin + ROUTER_BASENAME;
}
