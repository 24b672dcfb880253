import { useTranslation } from "react-i18next";
import { Navigate, Outlet, useLocation } from "react-router";
import { Button } from "../ui/button";
import { ErrorNotice } from "../ui/notice";
import { useSession } from "./session";

/** What needs somebody to be signed in; whoever signs in comes back to where they were going. */
export function RequireSession() {
  const { state, check } = useSession();
  const location = useLocation();
  const { t } = useTranslation();
  if (state.kind === "in") return <Outlet />;
  if (state.kind === "checking") return <p className="unseen">{t("session.checking")}</p>;
  if (state.kind === "unknown")
    return (
      <main className="mx-auto flex max-w-md flex-col gap-4 p-6">
        <h1 className="text-lg font-semibold">{t("session.cannotTell")}</h1>
        <ErrorNotice error={state.error} />
        <Button onClick={check}>{t("common.retry")}</Button>
      </main>
    );
  const wanted = state.ended ? undefined : { from: location.pathname + location.search };
  return <Navigate to="/sign-in" replace state={{ ...wanted, ended: state.ended }} />;
}

/** Pages of those who are not signed in. */
export function OnlySignedOut() {
  const { state } = useSession();
  const location = useLocation();
  if (state.kind === "in") {
    const from = (location.state as { from?: string } | null)?.from;
    return <Navigate to={from ?? "/"} replace />;
  }
  return <Outlet />;
}

/** The gateway refuses everybody else anyhow; this only spares them a page of errors. */
export function RequireAdmin() {
  const { state } = useSession();
  return state.kind === "in" && state.user.role === "admin" ? <Outlet /> : <Navigate to="/" replace />;
}
