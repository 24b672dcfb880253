import type { Tokens } from "marked";
import { memo, useRef } from "react";
import { Block } from "./block";
import { EMPTY, type ParsedMarkdown, parseComplete, parseIncrementally } from "./incremental";

interface MarkdownProps {
  text: string;
  /** More text is to come. */
  streaming?: boolean;
}

/** A model's text as React elements. While it streams, only its last blocks are parsed and rendered again. */
export const Markdown = memo(function Markdown({ text, streaming = false }: MarkdownProps) {
  const parsed = useParsedMarkdown(text, streaming);
  const blocks = [...parsed.closedBlocks, ...parsed.openBlocks];
  const heading = blocks.find((token): token is Tokens.Heading => token.type === "heading");
  const topHeadingLevel = heading?.depth ?? 1;
  return (
    <div className={streaming ? "markdown streaming" : "markdown"}>
      {blocks.map((token, index) => (
        <Block
          // biome-ignore lint/suspicious/noArrayIndexKey: blocks keep their index while the text grows.
          key={index}
          token={token}
          complete={!streaming || index < parsed.closedBlocks.length}
          topHeadingLevel={topHeadingLevel}
        />
      ))}
    </div>
  );
});

function useParsedMarkdown(text: string, streaming: boolean): ParsedMarkdown {
  const last = useRef<{ parsed: ParsedMarkdown; streaming: boolean }>({ parsed: EMPTY, streaming: true });
  const before = last.current;
  if (streaming) last.current = { parsed: parseIncrementally(before.parsed, text), streaming };
  else if (before.streaming || before.parsed.text !== text)
    last.current = { parsed: parseComplete(text), streaming };
  return last.current.parsed;
}
