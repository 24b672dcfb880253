import type { ReactNode } from "react";
import { displayUrl, isMisleading } from "./links";

/** A link in a new tab, without a referrer; if its text names another host, the real one is shown. */
export function ExternalLink({ target, text, children }: { target: URL; text: string; children: ReactNode }) {
  return (
    <>
      <a
        href={target.href}
        target="_blank"
        rel="noopener noreferrer nofollow"
        title={displayUrl(target.href)}
      >
        <bdi>{children}</bdi>
      </a>
      {isMisleading(text, target) && <span className="text-sm text-warning"> ({target.hostname})</span>}
    </>
  );
}

/** A link whose URL is not safe to follow: its text and the URL. */
export function InactiveLink({ href, children }: { href: string; children: ReactNode }) {
  return (
    <>
      <bdi>{children}</bdi> <code>{displayUrl(href)}</code>
    </>
  );
}
