import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { Link, useRouteError } from "react-router";
import { Button } from "../ui/button";
import { Empty } from "../ui/notice";
import { useTitle } from "../ui/page";

const RELOADED = "gw.reloaded";
const LOAD_FAILURE = /dynamically imported module|importing a module|preload CSS|Failed to fetch/i;

export function NotFound() {
  const { t } = useTranslation();
  useTitle(t("common.notFound"));
  return (
    <main className="pt-16">
      <Empty page icon="search" title={t("common.notFound")}>
        <p>{t("common.notFoundHint")}</p>
        <Link to="/" className="mt-3 inline-block font-medium text-accent underline underline-offset-2">
          {t("common.toChat")}
        </Link>
      </Empty>
    </main>
  );
}

/** A part that cannot be loaded was replaced by a newer build: the page is loaded anew, once. */
export function Crashed() {
  const { t } = useTranslation();
  const error = useRouteError();
  const stale = error instanceof Error && LOAD_FAILURE.test(error.message) && reloadOnce();
  useEffect(() => {
    if (!stale) console.error(error);
  }, [error, stale]);
  if (stale) return null;
  return (
    <main className="pt-16">
      <Empty page icon="warning" title={t("common.crashed")}>
        <p>{t("common.crashedHint")}</p>
        <Button className="mt-3" onClick={() => location.reload()}>
          {t("common.reload")}
        </Button>
      </Empty>
    </main>
  );
}

/** Whether the page is being loaded anew; not twice within ten seconds, for then it would never stop. */
export function reloadOnce(): boolean {
  try {
    const before = Number(sessionStorage.getItem(RELOADED));
    if (Date.now() - before < 10_000) return false;
    sessionStorage.setItem(RELOADED, String(Date.now()));
  } catch {
    return false;
  }
  location.reload();
  return true;
}
