import type { ReactNode } from "react";
import { addressToRead, deceives } from "./addresses";

/** A link out of the console: it tells the other side nothing, and a misleading one says where it goes. */
export function OutLink({ target, text, children }: { target: URL; text: string; children: ReactNode }) {
  return (
    <>
      <a
        href={target.href}
        target="_blank"
        rel="noopener noreferrer nofollow"
        title={addressToRead(target.href)}
      >
        <bdi>{children}</bdi>
      </a>
      {deceives(text, target) && <span className="text-sm text-warning"> ({target.hostname})</span>}
    </>
  );
}

/** What would be a link, were its address one that leads anywhere. */
export function UnsafeLink({ href, children }: { href: string; children: ReactNode }) {
  return (
    <>
      <bdi>{children}</bdi> <code>{addressToRead(href)}</code>
    </>
  );
}
