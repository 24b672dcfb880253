import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import tailwind from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";
import { icons } from "./icons.ts";

const GATEWAY = process.env.GATEWAY_URL ?? "http://127.0.0.1:8000";

/** The gateway's Content-Security-Policy for the console, for `vite preview`. */
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

// Do not change the origin: the gateway accepts the session cookie in same-origin requests only.
const proxy = Object.fromEntries(
  ["/api", "/v1", "/health", "/docs", "/openapi.json"].map((path) => [path, { target: GATEWAY }]),
);

/** Keeps KaTeX's woff2 fonts only, which all supported browsers read. */
const woff2Only: Plugin = {
  name: "woff2-only",
  enforce: "pre",
  transform: (code, id) =>
    id.includes("katex") && id.endsWith(".css")
      ? code.replace(/,\s*url\([^)]*\.(?:woff|ttf)\)\s*format\("\w+"\)/g, "")
      : null,
};

/** The console's root relative to a page's path: one `../` per path segment, as the gateway does it. */
function relativeRoot(path: string): string {
  return "../".repeat(path.split("/").length - 2) || "./";
}

/** Sets the `<base>` of pages below the root, as the gateway does, for `vite dev` and `vite preview`. */
const baseHref: Plugin = {
  name: "base-href",
  transformIndexHtml: (html, { originalUrl, server }) =>
    server
      ? html.replace('href="./"', `href="${relativeRoot((originalUrl ?? "/").split("?")[0] ?? "/")}"`)
      : html,
  configurePreviewServer: ({ config, middlewares }) => {
    middlewares.use((request, response, next) => {
      const path = request.url?.split("?")[0] ?? "/";
      if (!request.headers.accept?.includes("text/html") || /^\/(assets|api|v1|docs)\//.test(path))
        return next();
      const html = readFileSync(resolve(config.root, config.build.outDir, "index.html"), "utf8");
      response.setHeader("content-security-policy", POLICY);
      response.setHeader("content-type", "text/html");
      response.end(html.replace('href="./"', `href="${relativeRoot(path)}"`));
    });
  },
};

export default defineConfig({
  base: "./",
  plugins: [woff2Only, baseHref, icons, react(), tailwind()],
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
