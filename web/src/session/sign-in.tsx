import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Link, useLocation } from "react-router";
import { gatewayInfoQuery } from "../api/gateway-info";
import { useFormSubmit } from "../lib/use-form-submit";
import { Button } from "../ui/button";
import { ErrorNotice } from "../ui/error-notice";
import { TextField } from "../ui/field";
import { Notice } from "../ui/notice";
import { AUTH_LINK_CLASS, AuthLayout } from "./auth-layout";
import type { SignInState } from "./route-guards";
import { useSession } from "./session-provider";

export function SignInPage() {
  const { t } = useTranslation();
  const { signIn } = useSession();
  const signInState = useLocation().state as SignInState | null;
  const form = useFormSubmit(({ email = "", password = "" }) => signIn(email, password));
  const gatewayInfo = useQuery(gatewayInfoQuery);
  return (
    <AuthLayout title={t("session.signIn")}>
      {signInState?.sessionEnded && !form.error && <Notice>{t("session.sessionEnded")}</Notice>}
      {signInState?.passwordSet && <Notice>{t("session.passwordSet")}</Notice>}
      <form onSubmit={form.submit} className="flex flex-col gap-4">
        <TextField label={t("session.email")} name="email" type="email" autoComplete="username" required />
        <TextField
          label={t("session.password")}
          name="password"
          type="password"
          autoComplete="current-password"
          required
        />
        {form.error ? <ErrorNotice error={form.error} /> : null}
        <Button variant="primary" type="submit" busy={form.busy}>
          {t("session.signIn")}
        </Button>
      </form>
      <div className="flex flex-col gap-1.5 text-sm text-ink-soft">
        <Link to="/forgot" className={AUTH_LINK_CLASS}>
          {t("session.forgotPassword")}
        </Link>
        {gatewayInfo.data?.sign_up_open === false ? (
          <p>{t("session.signUpClosed")}</p>
        ) : (
          <p>
            {t("session.noAccount")}{" "}
            <Link to="/sign-up" className={AUTH_LINK_CLASS}>
              {t("session.signUp")}
            </Link>
          </p>
        )}
      </div>
    </AuthLayout>
  );
}
