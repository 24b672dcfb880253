/** Routes that depend on the session. */
import { useTranslation } from "react-i18next";
import { Navigate, Outlet, useLocation } from "react-router";
import { Button } from "../ui/button";
import { ErrorNotice } from "../ui/error-notice";
import { useSession } from "./session-provider";

/** State of the navigation to the sign-in page. */
export interface SignInState {
  /** The page to return to after signing in. */
  returnTo?: string;
  sessionEnded?: boolean;
  passwordSet?: boolean;
}

/** Routes for signed-in users; others are sent to the sign-in page, and return after signing in. */
export function RequireSession() {
  const { state, retry } = useSession();
  const { pathname, search } = useLocation();
  const { t } = useTranslation();
  if (state.kind === "signed-in") return <Outlet />;
  if (state.kind === "loading") return <p className="sr-only">{t("session.loading")}</p>;
  if (state.kind === "error")
    return (
      <main className="mx-auto flex max-w-md flex-col gap-4 p-6">
        <h1 className="text-lg font-semibold">{t("session.loadFailed")}</h1>
        <ErrorNotice error={state.error} />
        <Button onClick={retry}>{t("common.retry")}</Button>
      </main>
    );
  const { sessionEnded } = state;
  const signInState: SignInState = sessionEnded ? { sessionEnded } : { returnTo: pathname + search };
  return <Navigate to="/sign-in" replace state={signInState} />;
}

/** Routes for visitors who are not signed in. */
export function RequireSignedOut() {
  const { state } = useSession();
  const signInState = useLocation().state as SignInState | null;
  return state.kind === "signed-in" ? <Navigate to={signInState?.returnTo ?? "/"} replace /> : <Outlet />;
}

/** Routes for administrators. The gateway checks the role itself; this only avoids pages full of errors. */
export function RequireAdmin() {
  const { state } = useSession();
  return state.kind === "signed-in" && state.user.role === "admin" ? <Outlet /> : <Navigate to="/" replace />;
}
