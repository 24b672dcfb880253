import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { requestPublicJson } from "../api/client";
import { useFormSubmit } from "../lib/use-form-submit";
import { Button } from "../ui/button";
import { ErrorNotice } from "../ui/error-notice";
import { TextField } from "../ui/field";
import { Notice } from "../ui/notice";
import { AUTH_LINK_CLASS, AuthLayout } from "./auth-layout";

export function ForgotPasswordPage() {
  const { t } = useTranslation();
  const [sentTo, setSentTo] = useState<string | null>(null);
  const form = useFormSubmit(async ({ email = "" }) => {
    await requestPublicJson("/api/auth/password/forgot", { method: "POST", body: { email } });
    setSentTo(email);
  });
  return (
    <AuthLayout title={t("session.forgotTitle")}>
      {sentTo !== null ? (
        <Notice>
          <p>{t("session.linkSent", { email: sentTo })}</p>
          <p className="mt-1">{t("session.noEmail")}</p>
        </Notice>
      ) : (
        <form onSubmit={form.submit} className="flex flex-col gap-4">
          <p className="text-sm text-ink-soft">{t("session.forgotHint")}</p>
          <TextField label={t("session.email")} name="email" type="email" autoComplete="username" required />
          {form.error ? <ErrorNotice error={form.error} /> : null}
          <Button variant="primary" type="submit" busy={form.busy}>
            {t("session.sendLink")}
          </Button>
        </form>
      )}
      <Link to="/sign-in" className={`text-sm ${AUTH_LINK_CLASS}`}>
        {t("session.backToSignIn")}
      </Link>
    </AuthLayout>
  );
}
