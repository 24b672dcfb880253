import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app";
import { initTranslations } from "./i18n";
import { reloadOnce } from "./layout/error-boundary";
import { applyTheme, storedTheme } from "./lib/theme";
import "./styles/app.css";

applyTheme(storedTheme());
// A chunk is missing because a newer build has replaced it: reload the page once.
window.addEventListener("vite:preloadError", (event) => {
  if (reloadOnce()) event.preventDefault();
});
// Fetch the chat's chunk in parallel with the session, except on pages that do not need it.
if (!/\/(?:sign-in|sign-up|forgot|reset|account|admin)\b/.test(location.pathname))
  void import("./chat/chat-layout");
await initTranslations();
const root = document.getElementById("root");
if (root)
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
