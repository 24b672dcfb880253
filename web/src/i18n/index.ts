/** The console's translations; each language is loaded on demand. */
import i18next from "i18next";
import { initReactI18next } from "react-i18next";
import { readPreference, writePreference } from "../lib/preferences";
import type english from "./en";
import type { admin } from "./en/admin";

export type Language = "en" | "ko";
export const LANGUAGES: Record<Language, string> = { en: "English", ko: "한국어" };

declare module "i18next" {
  interface CustomTypeOptions {
    resources: { translation: typeof english & { admin: typeof admin } };
    returnNull: false;
  }
}

const LOADERS: Record<Language, () => Promise<{ default: object }>> = {
  en: () => import("./en"),
  ko: () => import("./ko"),
};

/** The administration pages have their own bundle, because most users never open them. */
const ADMIN_LOADERS: Record<Language, () => Promise<{ admin: object }>> = {
  en: () => import("./en/admin"),
  ko: () => import("./ko/admin"),
};
let adminLoaded = false;

/** Loads the translations of the administration pages; await it before rendering one of them. */
export async function loadAdminTranslations(): Promise<void> {
  adminLoaded = true;
  await addAdminTranslations((i18next.resolvedLanguage ?? "en") as Language);
}

async function addAdminTranslations(language: Language): Promise<void> {
  const { admin } = await ADMIN_LOADERS[language]();
  i18next.addResourceBundle(language, "translation", { admin }, true, true);
}

export async function initTranslations(): Promise<void> {
  const language = preferredLanguage();
  await i18next.use(initReactI18next).init({
    lng: language,
    fallbackLng: false,
    resources: { [language]: { translation: (await LOADERS[language]()).default } },
    // React escapes.
    interpolation: { escapeValue: false },
  });
  document.documentElement.lang = language;
}

export async function setLanguage(language: Language): Promise<void> {
  writePreference("language", language);
  i18next.addResourceBundle(language, "translation", (await LOADERS[language]()).default, true, true);
  if (adminLoaded) await addAdminTranslations(language);
  await i18next.changeLanguage(language);
  document.documentElement.lang = language;
}

function preferredLanguage(): Language {
  const stored = readPreference("language");
  if (stored === "en" || stored === "ko") return stored;
  return navigator.languages.find((tag) => /^(en|ko)\b/i.test(tag))?.startsWith("ko") ? "ko" : "en";
}
