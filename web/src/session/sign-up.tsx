import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { callPublic } from "../api/client";
import { ApiError } from "../api/errors";
import { gatewayFacts } from "../api/facts";
import { Button } from "../ui/button";
import { TextField } from "../ui/field";
import { ErrorNotice, Notice } from "../ui/notice";
import { Card } from "./card";
import { useSession } from "./session";
import { LINK } from "./sign-in";
import { useForm } from "./use-form";

export default function SignUp() {
  const { t } = useTranslation();
  const { signIn } = useSession();
  const facts = useQuery(gatewayFacts);
  const form = useForm(async ({ email = "", password = "", name = "" }) => {
    await callPublic("/api/auth/register", { method: "POST", body: { email, password, name } });
    await signIn(email, password);
  });
  const wrong = form.error instanceof ApiError && form.error.code === "validation_failed" ? form.error : null;
  const closed = facts.data?.sign_up_open === false;
  return (
    <Card title={t("session.signUp")}>
      {closed ? (
        <Notice>{t("session.signUpClosed")}</Notice>
      ) : (
        <form onSubmit={form.submit} className="flex flex-col gap-4">
          <TextField label={t("session.name")} name="name" autoComplete="name" maxLength={200} />
          <TextField
            label={t("session.email")}
            name="email"
            type="email"
            autoComplete="username"
            required
            error={wrong?.param?.includes("email") ? wrong.message : null}
          />
          <TextField
            label={t("session.password")}
            name="password"
            type="password"
            autoComplete="new-password"
            minLength={10}
            maxLength={256}
            required
            hint={t("session.passwordRule")}
            error={wrong?.param?.includes("password") ? wrong.message : null}
          />
          {form.error && !/email|password/.test(wrong?.param ?? "") ? (
            <ErrorNotice error={form.error} />
          ) : null}
          <Button kind="primary" type="submit" busy={form.busy}>
            {t("session.signUp")}
          </Button>
        </form>
      )}
      <p className="text-sm text-ink-soft">
        {t("session.toSignIn")}{" "}
        <Link to="/sign-in" className={LINK}>
          {t("session.signIn")}
        </Link>
      </p>
    </Card>
  );
}
