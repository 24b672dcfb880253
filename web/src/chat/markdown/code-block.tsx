import type { ElementContent, Root } from "hast";
import { type ReactNode, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { escapeInvisible, sanitizeLine } from "../../lib/text";
import { CopyButton } from "../../ui/copy-button";
import { TruncatedText } from "../../ui/truncated-text";

interface CodeBlockProps {
  code: string;
  language: string;
  /** No more code is to come. */
  complete: boolean;
}

export function CodeBlock({ code, language, complete }: CodeBlockProps) {
  const { t } = useTranslation();
  const escaped = escapeInvisible(code);
  const tree = useHighlightedTree(escaped, language, complete);
  return (
    <figure className="code-block">
      <figcaption className="flex min-h-9 items-center justify-between gap-2 pr-1 pl-3">
        <span className="truncate font-mono text-xs text-ink-soft">
          {sanitizeLine(language) || t("chat.code")}
        </span>
        <CopyButton text={code} label={t("chat.copyCode")} withText />
      </figcaption>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable region must be reachable by keyboard. */}
      <pre tabIndex={0}>
        <code>
          {tree ? renderNodes(tree.children as ElementContent[]) : <TruncatedText text={escaped} />}
        </code>
      </pre>
    </figure>
  );
}

/** The highlighted code; null while the code is incomplete or the highlighter is loading. */
function useHighlightedTree(code: string, language: string, complete: boolean): Root | null {
  const [highlighted, setHighlighted] = useState<{ code: string; tree: Root | null } | null>(null);
  useEffect(() => {
    if (!complete || !language) return;
    let active = true;
    void import("./highlight").then(({ highlight }) => {
      if (active) setHighlighted({ code, tree: highlight(code, language) });
    });
    return () => {
      active = false;
    };
  }, [code, language, complete]);
  return highlighted?.code === code ? highlighted.tree : null;
}

function renderNodes(children: ElementContent[]): ReactNode {
  return children.map((child, index) => {
    if (child.type === "text") return child.value;
    if (child.type !== "element") return null;
    const names = child.properties.className;
    return (
      // biome-ignore lint/suspicious/noArrayIndexKey: nodes have no other identity than their index.
      <span key={index} className={Array.isArray(names) ? names.join(" ") : undefined}>
        {renderNodes(child.children)}
      </span>
    );
  });
}
