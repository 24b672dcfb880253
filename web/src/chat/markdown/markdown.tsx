import type { Tokens } from "marked";
import { memo, useRef } from "react";
import { Block } from "./block";
import { NOTHING, type Parsed, parseOn, parseWhole } from "./growing";

interface MarkdownProps {
  text: string;
  /** More of it is coming. */
  growing?: boolean;
}

/** A model's text. While it grows, only its last blocks are parsed and drawn. */
export const Markdown = memo(function Markdown({ text, growing = false }: MarkdownProps) {
  const parsed = useParsed(text, growing);
  const blocks = [...parsed.finished, ...parsed.open];
  const heading = blocks.find((token): token is Tokens.Heading => token.type === "heading");
  const top = heading?.depth ?? 1;
  return (
    <div className={growing ? "markdown growing" : "markdown"}>
      {blocks.map((token, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: blocks keep their place while the text grows.
        <Block key={index} token={token} whole={!growing || index < parsed.finished.length} top={top} />
      ))}
    </div>
  );
});

function useParsed(text: string, growing: boolean): Parsed {
  const kept = useRef<{ parsed: Parsed; growing: boolean }>({ parsed: NOTHING, growing: true });
  const before = kept.current;
  if (growing) kept.current = { parsed: parseOn(before.parsed, text), growing };
  else if (before.growing || before.parsed.text !== text)
    kept.current = { parsed: parseWhole(text), growing };
  return kept.current.parsed;
}
