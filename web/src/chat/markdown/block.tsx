import type { Token, Tokens } from "marked";
import { memo, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { LongText } from "../../ui/long-text";
import { CodeBlock } from "./code";
import { Inline } from "./inline";
import type { MathToken } from "./lex";
import { MathText } from "./math";

const DEEPEST = 24;

interface BlockProps {
  token: Token;
  /** No more of it is coming. */
  whole: boolean;
  depth?: number;
  /** The depth of the text's first heading, which stands right below those of the page. */
  top?: number;
}

/** One block; it is drawn anew only where its text is another. */
export const Block = memo(
  function Block({ token, whole, depth = 0, top = 1 }: BlockProps) {
    return token.type === "heading" ? (
      <Heading token={token as Tokens.Heading} top={top} />
    ) : (
      block(token, whole, depth)
    );
  },
  (before, now) =>
    before.token.raw === now.token.raw && before.token.type === now.token.type && before.whole === now.whole,
);

function block(token: Token, whole: boolean, depth: number): ReactNode {
  if (depth > DEEPEST) return <p>{token.raw}</p>;
  switch (token.type) {
    case "paragraph":
      return (
        <p>
          <Inline tokens={token.tokens} />
        </p>
      );
    case "code":
      return <CodeBlock code={token.text} language={(token.lang ?? "").split(/\s/)[0] ?? ""} whole={whole} />;
    case "list":
      return <List token={token as Tokens.List} whole={whole} depth={depth} />;
    case "blockquote":
      return (
        <blockquote>
          <Blocks tokens={token.tokens} whole={whole} depth={depth + 1} />
        </blockquote>
      );
    case "table":
      return <MarkdownTable token={token as Tokens.Table} />;
    case "math":
      return <MathText tex={(token as MathToken).text} block />;
    case "hr":
      return <hr />;
    case "space":
    case "def":
      return null;
    case "text":
      return <Inline tokens={token.tokens ?? [token]} />;
    default:
      // HTML, text that is no Markdown, and whatever marked may learn.
      return (
        <p className="whitespace-pre-wrap">
          <LongText text={token.raw} />
        </p>
      );
  }
}

function Blocks({ tokens, whole, depth }: { tokens: Token[] | undefined; whole: boolean; depth: number }) {
  // biome-ignore lint/suspicious/noArrayIndexKey: blocks have no identity but their place.
  return tokens?.map((token, index) => <Block key={index} token={token} whole={whole} depth={depth} />);
}

/** Headings of an answer stand below the page's own, and skip no level because a model began with a small one. */
function Heading({ token, top }: { token: Tokens.Heading; top: number }) {
  const Tag = `h${Math.min(3 + Math.max(token.depth - top, 0), 6)}` as "h3";
  return (
    <Tag className={token.depth <= 2 ? "text-lg" : undefined}>
      <Inline tokens={token.tokens} />
    </Tag>
  );
}

function List({ token, whole, depth }: { token: Tokens.List; whole: boolean; depth: number }) {
  const { t } = useTranslation();
  const items = token.items.map((item, index) => (
    // biome-ignore lint/suspicious/noArrayIndexKey: items have no identity but their place.
    <li key={index} className={item.task ? "list-none" : undefined}>
      {item.task && (
        <input
          type="checkbox"
          checked={item.checked ?? false}
          disabled
          aria-label={t(item.checked ? "chat.done" : "chat.open")}
          className="mr-2 -ml-5"
        />
      )}
      <Blocks tokens={item.tokens.filter((one) => one.type !== "checkbox")} whole={whole} depth={depth + 1} />
    </li>
  ));
  return token.ordered ? <ol start={Number(token.start) || 1}>{items}</ol> : <ul>{items}</ul>;
}

function MarkdownTable({ token }: { token: Tokens.Table }) {
  const { t } = useTranslation();
  const align = (index: number) =>
    ({ left: "text-left", right: "text-right", center: "text-center" })[token.align[index] ?? "left"];
  /* biome-ignore-start lint/suspicious/noArrayIndexKey: cells have no identity but their place. */
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls has to be reached by keyboard.
    <section className="overflow-x-auto" aria-label={t("chat.table")} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {token.header.map((cell, index) => (
              <th key={index} scope="col" className={align(index)}>
                <Inline tokens={cell.tokens} />
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {token.rows.map((row, number) => (
            <tr key={number}>
              {row.map((cell, index) => (
                <td key={index} className={align(index)}>
                  <Inline tokens={cell.tokens} />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
  /* biome-ignore-end lint/suspicious/noArrayIndexKey: cells have no identity but their place. */
}
