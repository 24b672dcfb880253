import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { useDocumentTitle } from "../ui/page";
import { TEXT_LINK_CLASS } from "../ui/text-link";
import { DisplayPreferences } from "./display-preferences";

export const AUTH_LINK_CLASS = `${TEXT_LINK_CLASS} hover:text-accent-strong`;

/** Layout of the pages for visitors who are not signed in. */
export function AuthLayout({ title, children }: { title: string; children: ReactNode }) {
  const { t } = useTranslation();
  useDocumentTitle(title);
  return (
    <div className="flex min-h-full flex-col items-center justify-center gap-6 bg-panel px-4 py-8">
      <header className="flex flex-col items-center gap-2 text-center">
        <img src="./icon.svg" alt="" width="44" height="44" />
        <p className="text-lg font-semibold">{t("common.product")}</p>
        <p className="text-sm text-ink-soft">{t("session.tagline")}</p>
      </header>
      <main className="panel flex w-full max-w-sm flex-col gap-5 p-6">
        <h1 className="text-lg font-semibold">{title}</h1>
        {children}
      </main>
      <DisplayPreferences />
    </div>
  );
}
