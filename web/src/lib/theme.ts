import { readPreference, writePreference } from "./preferences";

export type Theme = "system" | "light" | "dark";

export function storedTheme(): Theme {
  const stored = readPreference("theme");
  return stored === "light" || stored === "dark" ? stored : "system";
}

export function applyTheme(theme: Theme): void {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

/** Applies a theme and stores it for the next visit. */
export function saveTheme(theme: Theme): void {
  writePreference("theme", theme === "system" ? null : theme);
  applyTheme(theme);
}
