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

/** A formula; shows its source until KaTeX is loaded and if it is invalid. */
export function Formula({ tex, block }: { tex: string; block: boolean }) {
  const element = useRef<HTMLSpanElement>(null);
  const [katex, setKatex] = useState<Katex | null>(loaded);
  useEffect(() => {
    if (!katex) void loadKatex().then((module) => setKatex(() => module));
  }, [katex]);
  useEffect(() => {
    if (!katex || !element.current) return;
    try {
      // `render` builds elements; `renderToString` would require inserting HTML.
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
