import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, useLocation, useNavigate } from "react-router";
import { requestPublicJson } from "../api/client";
import { useFormSubmit } from "../lib/use-form-submit";
import { Button } from "../ui/button";
import { ErrorNotice } from "../ui/error-notice";
import { TextField } from "../ui/field";
import { AUTH_LINK_CLASS, AuthLayout } from "./auth-layout";
import type { SignInState } from "./route-guards";

export function ResetPasswordPage() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const { hash } = useLocation();
  // The token is in the URL's fragment, which browsers do not send to servers.
  const [tokenFromLink] = useState(() => new URLSearchParams(hash.slice(1)).get("token") ?? "");
  // Remove it from the URL, so that it is not in the history or in a screenshot.
  useEffect(() => {
    if (hash) navigate({ hash: "" }, { replace: true });
  }, [hash, navigate]);
  const form = useFormSubmit(async ({ token = "", password = "" }) => {
    await requestPublicJson("/api/auth/password/reset", {
      method: "POST",
      body: { token: token.trim(), password },
    });
    navigate("/sign-in", { replace: true, state: { passwordSet: true } satisfies SignInState });
  });
  return (
    <AuthLayout title={t("session.resetTitle")}>
      <form onSubmit={form.submit} className="flex flex-col gap-4">
        <p className="text-sm text-ink-soft">{t("session.resetHint")}</p>
        {tokenFromLink ? (
          <input type="hidden" name="token" value={tokenFromLink} />
        ) : (
          <TextField label={t("session.resetCode")} name="token" autoComplete="one-time-code" required />
        )}
        <TextField
          label={t("session.newPassword")}
          name="password"
          type="password"
          autoComplete="new-password"
          minLength={10}
          maxLength={256}
          required
          hint={t("session.passwordHint")}
        />
        {form.error ? <ErrorNotice error={form.error} /> : null}
        <Button variant="primary" type="submit" busy={form.busy}>
          {t("session.setPassword")}
        </Button>
      </form>
      <Link to="/sign-in" className={`text-sm ${AUTH_LINK_CLASS}`}>
        {t("session.backToSignIn")}
      </Link>
    </AuthLayout>
  );
}
