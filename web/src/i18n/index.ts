/** The console's words, in English and Korean; each language is loaded when it is needed. */
import i18next from "i18next";
import { initReactI18next } from "react-i18next";
import { readPreference, writePreference } from "../lib/preference";
import type english from "./en";
import type { admin } from "./en/admin";

/** The shape of the English words with strings of another language, which has no singular of its own. */
export type Translation<T> = {
  [K in keyof T as K extends `${string}_one` ? never : K]: T[K] extends string ? string : Translation<T[K]>;
};

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

/** Words of the administrators' pages, which most people never open. */
const ADMIN: Record<Language, () => Promise<{ admin: object }>> = {
  en: () => import("./en/admin"),
  ko: () => import("./ko/admin"),
};
let withAdmin = false;

/** To be awaited before anything of the administrators' pages is drawn. */
export async function loadAdminWords(): Promise<void> {
  withAdmin = true;
  await addAdmin((i18next.resolvedLanguage ?? "en") as Language);
}

async function addAdmin(language: Language): Promise<void> {
  const { admin } = await ADMIN[language]();
  i18next.addResourceBundle(language, "translation", { admin }, true, true);
}

export async function startWords(): Promise<void> {
  const language = preferred();
  await i18next.use(initReactI18next).init({
    lng: language,
    fallbackLng: false,
    resources: { [language]: { translation: (await LOADERS[language]()).default } },
    // React escapes.
    interpolation: { escapeValue: false },
  });
  document.documentElement.lang = language;
}

export async function chooseLanguage(language: Language): Promise<void> {
  writePreference("language", language);
  i18next.addResourceBundle(language, "translation", (await LOADERS[language]()).default, true, true);
  if (withAdmin) await addAdmin(language);
  await i18next.changeLanguage(language);
  document.documentElement.lang = language;
}

function preferred(): Language {
  const kept = readPreference("language");
  if (kept === "en" || kept === "ko") return kept;
  return navigator.languages.find((tag) => /^(en|ko)\b/i.test(tag))?.startsWith("ko") ? "ko" : "en";
}
