import type { Token, Tokens } from "marked";
import { Fragment, type ReactNode } from "react";
import { ROOT } from "../../lib/root";
import { showTricks } from "../../lib/text";
import { gatewayImage, safeAddress } from "./addresses";
import { decodeEntities } from "./entities";
import { GatewayImage, UnloadedImage } from "./image";
import type { MathToken } from "./lex";
import { OutLink, UnsafeLink } from "./link";
import { MathText } from "./math";

const DEEPEST = 40;

/** Tokens inside of a line. */
export function Inline({ tokens, depth = 0 }: { tokens: Token[] | undefined; depth?: number }) {
  if (!tokens) return null;
  // biome-ignore lint/suspicious/noArrayIndexKey: tokens have no identity but their place.
  return tokens.map((token, index) => <Fragment key={index}>{inline(token, depth)}</Fragment>);
}

function inline(token: Token, depth: number): ReactNode {
  if (depth > DEEPEST) return token.raw;
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
      return <code>{showTricks(token.text)}</code>;
    case "br":
      return <br />;
    case "math":
      return <MathText tex={(token as MathToken).text} block={(token as MathToken).block} />;
    case "link":
      return link(token as Tokens.Link, depth);
    case "image":
      return image(token as Tokens.Image);
    case "html":
      return /^<br\s*\/?>$/i.test(token.raw.trim()) ? <br /> : token.raw;
    default:
      return token.raw;
  }
}

function link(token: Tokens.Link, depth: number): ReactNode {
  const target = safeAddress(token.href);
  const words = <Inline tokens={token.tokens} depth={depth + 1} />;
  return target ? (
    <OutLink target={target} text={token.text}>
      {words}
    </OutLink>
  ) : (
    <UnsafeLink href={token.href}>{words}</UnsafeLink>
  );
}

function image(token: Tokens.Image): ReactNode {
  const id = gatewayImage(token.href, ROOT.href);
  return id ? (
    <GatewayImage id={id} alt={token.text} />
  ) : (
    <UnloadedImage href={token.href} alt={token.text} />
  );
}
