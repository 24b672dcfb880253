import { useEffect, useRef, useState } from "react";

type Katex = typeof import("katex").default;

let loaded: Katex | null = null;
let loading: Promise<Katex> | null = null;

async function loadKatex(): Promise<Katex> {
  loading ??= Promise.all([import("katex"), import("katex/dist/katex.min.css")]).then(
    ([{ default: katex }]) => {
      loaded = katex;
      return katex;
    },
  );
  return await loading;
}

/** A formula, drawn when KaTeX has come; until then, and where it is none, its source. */
export function MathText({ tex, block }: { tex: string; block: boolean }) {
  const element = useRef<HTMLSpanElement>(null);
  const [katex, setKatex] = useState<Katex | null>(loaded);
  useEffect(() => {
    if (!katex) void loadKatex().then((module) => setKatex(() => module));
  }, [katex]);
  useEffect(() => {
    if (!katex || !element.current) return;
    try {
      // `katex.render` builds elements; `renderToString` would need HTML.
      katex.render(tex, element.current, {
        displayMode: block,
        throwOnError: true,
        maxSize: 20,
        maxExpand: 500,
      });
    } catch {
      element.current.textContent = tex;
    }
  }, [katex, tex, block]);
  if (!katex) return <code>{tex}</code>;
  return <span ref={element} className={block ? "block overflow-x-auto py-1" : undefined} />;
}
