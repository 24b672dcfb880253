import tailwind from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

const GATEWAY = process.env.GATEWAY_URL ?? "http://127.0.0.1:8000";

/** The policy under which the gateway serves the console; `vite preview` keeps to it as well. */
export const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' blob: data:",
  "connect-src 'self'",
  "font-src 'self'",
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

export default defineConfig({
  base: "./",
  plugins: [oneFontFormat, react(), tailwind()],
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
