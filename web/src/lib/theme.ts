import { readPreference, writePreference } from "./preference";

export type Theme = "system" | "light" | "dark";

export function currentTheme(): Theme {
  const kept = readPreference("theme");
  return kept === "light" || kept === "dark" ? kept : "system";
}

export function applyTheme(theme: Theme): void {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

export function chooseTheme(theme: Theme): void {
  writePreference("theme", theme === "system" ? null : theme);
  applyTheme(theme);
}
