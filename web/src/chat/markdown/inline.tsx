import type { Token, Tokens } from "marked";
import { Fragment, type ReactNode } from "react";
import { BASE_URL } from "../../lib/base-url";
import { escapeInvisible } from "../../lib/text";
import { decodeEntities } from "./entities";
import { ExternalLink, InactiveLink } from "./external-link";
import { Formula } from "./formula";
import { ExternalImagePlaceholder, GatewayImage } from "./image";
import { gatewayImageId, safeUrl } from "./links";
import type { MathToken } from "./tokenize";

const MAX_DEPTH = 40;

/** Inline tokens such as text, links and emphasis. */
export function Inline({ tokens, depth = 0 }: { tokens: Token[] | undefined; depth?: number }) {
  if (!tokens) return null;
  // biome-ignore lint/suspicious/noArrayIndexKey: tokens have no other identity than their index.
  return tokens.map((token, index) => <Fragment key={index}>{renderInline(token, depth)}</Fragment>);
}

function renderInline(token: Token, depth: number): ReactNode {
  if (depth > MAX_DEPTH) return token.raw;
  const inner = () => <Inline tokens={"tokens" in token ? token.tokens : undefined} depth={depth + 1} />;
  switch (token.type) {
    case "text":
      return token.tokens ? inner() : decodeEntities(token.text);
    case "escape":
      return token.text;
    case "strong":
      return <strong>{inner()}</strong>;
    case "em":
      return <em>{inner()}</em>;
    case "del":
      return <del>{inner()}</del>;
    case "codespan":
      return <code>{escapeInvisible(token.text)}</code>;
    case "br":
      return <br />;
    case "math":
      return <Formula tex={(token as MathToken).text} block={(token as MathToken).block} />;
    case "link":
      return renderLink(token as Tokens.Link, depth);
    case "image":
      return renderImage(token as Tokens.Image);
    case "html":
      return /^<br\s*\/?>$/i.test(token.raw.trim()) ? <br /> : token.raw;
    default:
      return token.raw;
  }
}

function renderLink(token: Tokens.Link, depth: number): ReactNode {
  const target = safeUrl(token.href);
  const children = <Inline tokens={token.tokens} depth={depth + 1} />;
  return target ? (
    <ExternalLink target={target} text={token.text}>
      {children}
    </ExternalLink>
  ) : (
    <InactiveLink href={token.href}>{children}</InactiveLink>
  );
}

function renderImage(token: Tokens.Image): ReactNode {
  const id = gatewayImageId(token.href, BASE_URL.href);
  return id ? (
    <GatewayImage id={id} alt={token.text} />
  ) : (
    <ExternalImagePlaceholder href={token.href} alt={token.text} />
  );
}
