import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { useRouteError } from "react-router";
import { Button } from "../ui/button";
import { EmptyState } from "../ui/empty-state";

/** `sessionStorage` key of the time of the last automatic reload. */
const RELOADED_AT = "gw.reloaded";
const MIN_RELOAD_INTERVAL_MS = 10_000;
const CHUNK_LOAD_ERROR = /dynamically imported module|importing a module|preload CSS|Failed to fetch/i;

/** The page shown for an uncaught error; a chunk that a newer build has replaced reloads the page once. */
export function RouteErrorPage() {
  const { t } = useTranslation();
  const error = useRouteError();
  const reloading = error instanceof Error && CHUNK_LOAD_ERROR.test(error.message) && reloadOnce();
  useEffect(() => {
    if (!reloading) console.error(error);
  }, [error, reloading]);
  if (reloading) return null;
  return (
    <main className="pt-16">
      <EmptyState page icon="warning" title={t("common.crashed")}>
        <p>{t("common.crashedHint")}</p>
        <Button className="mt-3" onClick={() => location.reload()}>
          {t("common.reload")}
        </Button>
      </EmptyState>
    </main>
  );
}

/** Reloads the page unless it was reloaded within the last ten seconds; returns whether it does. */
export function reloadOnce(): boolean {
  try {
    const lastReload = Number(sessionStorage.getItem(RELOADED_AT));
    if (Date.now() - lastReload < MIN_RELOAD_INTERVAL_MS) return false;
    sessionStorage.setItem(RELOADED_AT, String(Date.now()));
  } catch {
    return false;
  }
  location.reload();
  return true;
}
