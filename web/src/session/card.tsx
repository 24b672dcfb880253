import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { useTitle } from "../ui/page";
import { Preferences } from "./preferences";

/** The frame of the pages before signing in. */
export function Card({ title, children }: { title: string; children: ReactNode }) {
  const { t } = useTranslation();
  useTitle(title);
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
      <Preferences />
    </div>
  );
}
