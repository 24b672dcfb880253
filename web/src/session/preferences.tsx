import i18next from "i18next";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { chooseLanguage, LANGUAGES, type Language } from "../i18n";
import { chooseTheme, currentTheme, type Theme } from "../lib/theme";

const SELECT = "min-h-8 rounded-sm border border-line bg-raised px-2 text-sm text-ink";

/** Language and theme before signing in. */
export function Preferences() {
  const { t } = useTranslation();
  const [theme, setTheme] = useState(currentTheme);
  const themes = t("common.themes", { returnObjects: true });
  return (
    <footer className="flex gap-2">
      <select
        aria-label={t("common.language")}
        className={SELECT}
        value={i18next.resolvedLanguage ?? "en"}
        onChange={(event) => void chooseLanguage(event.target.value as Language)}
      >
        {Object.entries(LANGUAGES).map(([code, name]) => (
          <option key={code} value={code}>
            {name}
          </option>
        ))}
      </select>
      <select
        aria-label={t("common.theme")}
        className={SELECT}
        value={theme}
        onChange={(event) => {
          setTheme(event.target.value as Theme);
          chooseTheme(event.target.value as Theme);
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
