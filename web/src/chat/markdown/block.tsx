import type { Token, Tokens } from "marked";
import { memo, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { TruncatedText } from "../../ui/truncated-text";
import { CodeBlock } from "./code-block";
import { Formula } from "./formula";
import { Inline } from "./inline";
import type { MathToken } from "./tokenize";

const MAX_DEPTH = 24;

interface BlockProps {
  token: Token;
  /** No more text of this block is to come. */
  complete: boolean;
  depth?: number;
  /** The level of the text's first heading, which becomes the level below the page's headings. */
  topHeadingLevel?: number;
}

/** A block token; it is rendered again only if its text changes. */
export const Block = memo(
  function Block({ token, complete, depth = 0, topHeadingLevel = 1 }: BlockProps) {
    return token.type === "heading" ? (
      <Heading token={token as Tokens.Heading} topLevel={topHeadingLevel} />
    ) : (
      renderBlock(token, complete, depth)
    );
  },
  (before, now) =>
    before.token.raw === now.token.raw &&
    before.token.type === now.token.type &&
    before.complete === now.complete,
);

function renderBlock(token: Token, complete: boolean, depth: number): ReactNode {
  if (depth > MAX_DEPTH) return <p>{token.raw}</p>;
  switch (token.type) {
    case "paragraph":
      return (
        <p>
          <Inline tokens={token.tokens} />
        </p>
      );
    case "code":
      return (
        <CodeBlock code={token.text} language={(token.lang ?? "").split(/\s/)[0] ?? ""} complete={complete} />
      );
    case "list":
      return <List token={token as Tokens.List} complete={complete} depth={depth} />;
    case "blockquote":
      return (
        <blockquote>
          <Blocks tokens={token.tokens} complete={complete} depth={depth + 1} />
        </blockquote>
      );
    case "table":
      return <MarkdownTable token={token as Tokens.Table} />;
    case "math":
      return <Formula tex={(token as MathToken).text} block />;
    case "hr":
      return <hr />;
    case "space":
    case "def":
      return null;
    case "text":
      return <Inline tokens={token.tokens ?? [token]} />;
    default:
      // HTML, plain text, and token types that a later version of marked may add.
      return (
        <p className="whitespace-pre-wrap">
          <TruncatedText text={token.raw} />
        </p>
      );
  }
}

function Blocks({
  tokens,
  complete,
  depth,
}: {
  tokens: Token[] | undefined;
  complete: boolean;
  depth: number;
}) {
  // biome-ignore lint/suspicious/noArrayIndexKey: tokens have no other identity than their index.
  return tokens?.map((token, index) => <Block key={index} token={token} complete={complete} depth={depth} />);
}

/** Headings start at level 3, below the page's own, whatever level the model's first heading has. */
function Heading({ token, topLevel }: { token: Tokens.Heading; topLevel: number }) {
  const Tag = `h${Math.min(3 + Math.max(token.depth - topLevel, 0), 6)}` as "h3";
  return (
    <Tag className={token.depth <= 2 ? "text-lg" : undefined}>
      <Inline tokens={token.tokens} />
    </Tag>
  );
}

function List({ token, complete, depth }: { token: Tokens.List; complete: boolean; depth: number }) {
  const { t } = useTranslation();
  const items = token.items.map((item, index) => (
    // biome-ignore lint/suspicious/noArrayIndexKey: tokens have no other identity than their index.
    <li key={index} className={item.task ? "list-none" : undefined}>
      {item.task && (
        <input
          type="checkbox"
          checked={item.checked ?? false}
          disabled
          aria-label={t(item.checked ? "chat.taskDone" : "chat.taskOpen")}
          className="mr-2 -ml-5"
        />
      )}
      <Blocks
        tokens={item.tokens.filter((child) => child.type !== "checkbox")}
        complete={complete}
        depth={depth + 1}
      />
    </li>
  ));
  return token.ordered ? <ol start={Number(token.start) || 1}>{items}</ol> : <ul>{items}</ul>;
}

function MarkdownTable({ token }: { token: Tokens.Table }) {
  const { t } = useTranslation();
  const align = (index: number) =>
    ({ left: "text-left", right: "text-right", center: "text-center" })[token.align[index] ?? "left"];
  /* biome-ignore-start lint/suspicious/noArrayIndexKey: tokens have no other identity than their index. */
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable region must be reachable by keyboard.
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
  /* biome-ignore-end lint/suspicious/noArrayIndexKey: tokens have no other identity than their index. */
}
