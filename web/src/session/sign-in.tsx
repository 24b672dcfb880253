import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Link, useLocation } from "react-router";
import { gatewayFacts } from "../api/facts";
import { Button } from "../ui/button";
import { TextField } from "../ui/field";
import { ErrorNotice, Notice } from "../ui/notice";
import { Card } from "./card";
import { useSession } from "./session";
import { useForm } from "./use-form";

export const LINK = "font-medium text-accent underline underline-offset-2 hover:text-accent-strong";

export default function SignIn() {
  const { t } = useTranslation();
  const { signIn } = useSession();
  const note = useLocation().state as { ended?: boolean; passwordSet?: boolean } | null;
  const form = useForm(({ email = "", password = "" }) => signIn(email, password));
  const facts = useQuery(gatewayFacts);
  return (
    <Card title={t("session.signIn")}>
      {note?.ended && !form.error && <Notice>{t("session.ended")}</Notice>}
      {note?.passwordSet && <Notice>{t("session.passwordSet")}</Notice>}
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
        <Button kind="primary" type="submit" busy={form.busy}>
          {t("session.signIn")}
        </Button>
      </form>
      <div className="flex flex-col gap-1.5 text-sm text-ink-soft">
        <Link to="/forgot" className={LINK}>
          {t("session.forgot")}
        </Link>
        {facts.data?.sign_up_open === false ? (
          <p>{t("session.signUpClosed")}</p>
        ) : (
          <p>
            {t("session.toSignUp")}{" "}
            <Link to="/sign-up" className={LINK}>
              {t("session.signUp")}
            </Link>
          </p>
        )}
      </div>
    </Card>
  );
}
