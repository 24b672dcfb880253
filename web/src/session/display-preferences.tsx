import i18next from "i18next";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { LANGUAGES, type Language, setLanguage } from "../i18n";
import { saveTheme, storedTheme, type Theme } from "../lib/theme";

const SELECT_CLASS = "min-h-8 rounded-sm border border-line bg-raised px-2 text-sm text-ink";

/** Language and theme, for visitors who are not signed in. */
export function DisplayPreferences() {
  const { t } = useTranslation();
  const [theme, setTheme] = useState(storedTheme);
  const themes = t("common.themes", { returnObjects: true });
  return (
    <footer className="flex gap-2">
      <select
        aria-label={t("common.language")}
        className={SELECT_CLASS}
        value={i18next.resolvedLanguage ?? "en"}
        onChange={(event) => void setLanguage(event.target.value as Language)}
      >
        {Object.entries(LANGUAGES).map(([code, name]) => (
          <option key={code} value={code}>
            {name}
          </option>
        ))}
      </select>
      <select
        aria-label={t("common.theme")}
        className={SELECT_CLASS}
        value={theme}
        onChange={(event) => {
          setTheme(event.target.value as Theme);
          saveTheme(event.target.value as Theme);
        }}
      >
        {Object.entries(themes).map(([value, name]) => (
          <option key={value} value={value}>
            {name}
          </option>
        ))}
      </select>
    </footer>
  );
}
