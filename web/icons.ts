/** Renders `public/icon.svg` to the PNG icons of the installed console, because operating systems need bitmaps. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { initWasm, Resvg } from "@resvg/resvg-wasm";
import type { Plugin } from "vite";

/** Operating systems crop `fullBleed` icons to their own shape, so those must not have rounded corners. */
const ICONS = [
  { fileName: "icon-192.png", size: 192, fullBleed: false },
  { fileName: "icon-512.png", size: 512, fullBleed: false },
  { fileName: "icon-maskable-512.png", size: 512, fullBleed: true },
  { fileName: "apple-touch-icon.png", size: 180, fullBleed: true },
];
const ROUNDED_CORNERS = ' rx="8"';

export const icons: Plugin = {
  name: "icons",
  apply: "build",
  async generateBundle() {
    const svg = await readFile(resolve(import.meta.dirname, "public/icon.svg"), "utf8");
    if (!svg.includes(ROUNDED_CORNERS))
      this.error(`public/icon.svg has no attribute${ROUNDED_CORNERS}, which must be removed for some icons.`);
    await initWasm(await readFile(createRequire(import.meta.url).resolve("@resvg/resvg-wasm/index_bg.wasm")));
    for (const { fileName, size, fullBleed } of ICONS) {
      const image = new Resvg(fullBleed ? svg.replace(ROUNDED_CORNERS, "") : svg, {
        fitTo: { mode: "width", value: size },
      });
      this.emitFile({ type: "asset", fileName, source: image.render().asPng() });
    }
  },
};
