import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { callPublic } from "../api/client";
import { Button } from "../ui/button";
import { TextField } from "../ui/field";
import { ErrorNotice, Notice } from "../ui/notice";
import { Card } from "./card";
import { LINK } from "./sign-in";
import { useForm } from "./use-form";

export default function Forgot() {
  const { t } = useTranslation();
  const [sentTo, setSentTo] = useState<string | null>(null);
  const form = useForm(async ({ email = "" }) => {
    await callPublic("/api/auth/password/forgot", { method: "POST", body: { email } });
    setSentTo(email);
  });
  return (
    <Card title={t("session.forgotTitle")}>
      {sentTo !== null ? (
        <Notice>
          <p>{t("session.linkSent", { email: sentTo })}</p>
          <p className="mt-1">{t("session.noMail")}</p>
        </Notice>
      ) : (
        <form onSubmit={form.submit} className="flex flex-col gap-4">
          <p className="text-sm text-ink-soft">{t("session.forgotHint")}</p>
          <TextField label={t("session.email")} name="email" type="email" autoComplete="username" required />
          {form.error ? <ErrorNotice error={form.error} /> : null}
          <Button kind="primary" type="submit" busy={form.busy}>
            {t("session.sendLink")}
          </Button>
        </form>
      )}
      <Link to="/sign-in" className={`text-sm ${LINK}`}>
        {t("session.backToSignIn")}
      </Link>
    </Card>
  );
}
