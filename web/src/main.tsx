import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app";
import { startWords } from "./i18n";
import { reloadOnce } from "./layout/failures";
import { applyTheme, currentTheme } from "./lib/theme";
import "./styles/app.css";

applyTheme(currentTheme());
// A part of an older build that is gone: load the page anew, once.
window.addEventListener("vite:preloadError", (event) => {
  if (reloadOnce()) event.preventDefault();
});
if (!/\/(?:sign-in|sign-up|forgot|reset|account|admin)\b/.test(location.pathname)) void import("./chat/area");
await startWords();
const root = document.getElementById("root");
if (root)
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
