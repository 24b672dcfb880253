/** Icons of the installed console, drawn from `public/icon.svg`; systems that install it read no SVG. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { initWasm, Resvg } from "@resvg/resvg-wasm";
import type { Plugin } from "vite";

/** Systems cut their own shape out of the ones that are `filled`: those have no corners of their own. */
const ICONS = [
  { fileName: "icon-192.png", size: 192, filled: false },
  { fileName: "icon-512.png", size: 512, filled: false },
  { fileName: "icon-maskable-512.png", size: 512, filled: true },
  { fileName: "apple-touch-icon.png", size: 180, filled: true },
];
const CORNERS = ' rx="8"';

export const icons: Plugin = {
  name: "icons",
  apply: "build",
  async generateBundle() {
    const svg = await readFile(resolve(import.meta.dirname, "public/icon.svg"), "utf8");
    if (!svg.includes(CORNERS)) this.error(`public/icon.svg has no${CORNERS}, which is cut for some icons.`);
    await initWasm(await readFile(createRequire(import.meta.url).resolve("@resvg/resvg-wasm/index_bg.wasm")));
    for (const { fileName, size, filled } of ICONS) {
      const drawn = new Resvg(filled ? svg.replace(CORNERS, "") : svg, {
        fitTo: { mode: "width", value: size },
      });
      this.emitFile({ type: "asset", fileName, source: drawn.render().asPng() });
    }
  },
};
