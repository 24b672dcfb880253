import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import tailwind from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";
import { icons } from "./icons.ts";

const GATEWAY = process.env.GATEWAY_URL ?? "http://127.0.0.1:8000";

/** The policy under which the gateway serves the console; `vite preview` keeps to it as well. */
export const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' blob: data:",
  "connect-src 'self'",
  "font-src 'self'",
  "manifest-src 'self'",
  "base-uri 'self'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

// The proxy must not change the origin: the gateway takes the session's cookie from its own pages alone.
const proxy = Object.fromEntries(
  ["/api", "/v1", "/health", "/docs", "/openapi.json"].map((path) => [path, { target: GATEWAY }]),
);

/** KaTeX's fonts in woff2 alone: every browser that the console runs in reads it. */
const oneFontFormat: Plugin = {
  name: "one-font-format",
  enforce: "pre",
  transform: (code, id) =>
    id.includes("katex") && id.endsWith(".css")
      ? code.replace(/,\s*url\([^)]*\.(?:woff|ttf)\)\s*format\("\w+"\)/g, "")
      : null,
};

/** The console's root seen from a page's path: one `../` for each step down, as the gateway puts it in. */
function rootFrom(path: string): string {
  return "../".repeat(path.split("/").length - 2) || "./";
}

/** Pages below the root, as the gateway serves them, for `vite dev` and `vite preview`. */
const pagesBelowRoot: Plugin = {
  name: "pages-below-root",
  transformIndexHtml: (html, { originalUrl, server }) =>
    server
      ? html.replace('href="./"', `href="${rootFrom((originalUrl ?? "/").split("?")[0] ?? "/")}"`)
      : html,
  configurePreviewServer: ({ config, middlewares }) => {
    middlewares.use((request, response, next) => {
      const path = request.url?.split("?")[0] ?? "/";
      if (!request.headers.accept?.includes("text/html") || /^\/(assets|api|v1|docs)\//.test(path))
        return next();
      const html = readFileSync(resolve(config.root, config.build.outDir, "index.html"), "utf8");
      response.setHeader("content-security-policy", POLICY);
      response.setHeader("content-type", "text/html");
      response.end(html.replace('href="./"', `href="${rootFrom(path)}"`));
    });
  },
};

export default defineConfig({
  base: "./",
  plugins: [oneFontFormat, pagesBelowRoot, icons, react(), tailwind()],
  build: {
    outDir: "../gateway/console/dist",
    emptyOutDir: true,
    target: "baseline-widely-available",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
  server: { proxy },
  preview: { proxy, headers: { "content-security-policy": POLICY } },
});
