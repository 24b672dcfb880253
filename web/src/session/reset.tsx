import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, useLocation, useNavigate } from "react-router";
import { callPublic } from "../api/client";
import { Button } from "../ui/button";
import { TextField } from "../ui/field";
import { ErrorNotice } from "../ui/notice";
import { Card } from "./card";
import { LINK } from "./sign-in";
import { useForm } from "./use-form";

export default function Reset() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const { hash } = useLocation();
  // Mails put it behind `#`, which no server is told of.
  const [mailed] = useState(() => new URLSearchParams(hash.slice(1)).get("token") ?? "");
  // It must not stay in the address either, where history and screenshots keep it.
  useEffect(() => {
    if (hash) navigate({ hash: "" }, { replace: true });
  }, [hash, navigate]);
  const form = useForm(async ({ token = "", password = "" }) => {
    await callPublic("/api/auth/password/reset", { method: "POST", body: { token: token.trim(), password } });
    navigate("/sign-in", { replace: true, state: { passwordSet: true } });
  });
  return (
    <Card title={t("session.resetTitle")}>
      <form onSubmit={form.submit} className="flex flex-col gap-4">
        <p className="text-sm text-ink-soft">{t("session.resetHint")}</p>
        {mailed ? (
          <input type="hidden" name="token" value={mailed} />
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
          hint={t("session.passwordRule")}
        />
        {form.error ? <ErrorNotice error={form.error} /> : null}
        <Button kind="primary" type="submit" busy={form.busy}>
          {t("session.setPassword")}
        </Button>
      </form>
      <Link to="/sign-in" className={`text-sm ${LINK}`}>
        {t("session.backToSignIn")}
      </Link>
    </Card>
  );
}
