import type { ElementContent, Root } from "hast";
import { type ReactNode, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { plainLine, showTricks } from "../../lib/text";
import { CopyButton } from "../../ui/copy-button";
import { LongText } from "../../ui/long-text";

interface CodeProps {
  code: string;
  language: string;
  /** No more of it is coming. */
  whole: boolean;
}

export function CodeBlock({ code, language, whole }: CodeProps) {
  const { t } = useTranslation();
  const shown = showTricks(code);
  const tree = useHighlighted(shown, language, whole);
  return (
    <figure className="code-block">
      <figcaption className="flex min-h-9 items-center justify-between gap-2 pr-1 pl-3">
        <span className="truncate font-mono text-xs text-ink-soft">
          {plainLine(language) || t("chat.code")}
        </span>
        <CopyButton text={code} label={t("chat.copyCode")} withText />
      </figcaption>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls has to be reached by keyboard. */}
      <pre tabIndex={0}>
        <code>{tree ? nodes(tree.children as ElementContent[]) : <LongText text={shown} />}</code>
      </pre>
    </figure>
  );
}

/** The tree is kept with the text it was made from: one that has gone on since has none. */
function useHighlighted(code: string, language: string, whole: boolean): Root | null {
  const [made, setMade] = useState<{ code: string; tree: Root | null } | null>(null);
  useEffect(() => {
    if (!whole || !language) return;
    let wanted = true;
    void import("./highlight").then(({ highlight }) => {
      if (wanted) setMade({ code, tree: highlight(code, language) });
    });
    return () => {
      wanted = false;
    };
  }, [code, language, whole]);
  return made?.code === code ? made.tree : null;
}

function nodes(children: ElementContent[]): ReactNode {
  return children.map((child, index) => {
    if (child.type === "text") return child.value;
    if (child.type !== "element") return null;
    const names = child.properties.className;
    return (
      // biome-ignore lint/suspicious/noArrayIndexKey: words of code have no identity but their place.
      <span key={index} className={Array.isArray(names) ? names.join(" ") : undefined}>
        {nodes(child.children)}
      </span>
    );
  });
}
