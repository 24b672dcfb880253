/** Where the gateway's root is: the page's `<base>`, which holds whatever prefix stands before it. */
export const ROOT = new URL(".", document.baseURI);

/** The path before every route of the application, without a slash at its end. */
export const BASENAME = ROOT.pathname.replace(/\/$/, "");

/** An address of the gateway: `path` begins with a slash and counts from the root. */
export function at(path: string): string {
  return BASENAME + path;
}

/** The gateway's address as programs outside of the browser write it, without a slash at its end. */
export function outside(): string {
  return ROOT.origin + BASENAME;
}
