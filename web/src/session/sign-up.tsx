import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { requestPublicJson } from "../api/client";
import { ApiError } from "../api/errors";
import { gatewayInfoQuery } from "../api/gateway-info";
import { useFormSubmit } from "../lib/use-form-submit";
import { Button } from "../ui/button";
import { ErrorNotice } from "../ui/error-notice";
import { TextField } from "../ui/field";
import { Notice } from "../ui/notice";
import { AUTH_LINK_CLASS, AuthLayout } from "./auth-layout";
import { useSession } from "./session-provider";

export function SignUpPage() {
  const { t } = useTranslation();
  const gatewayInfo = useQuery(gatewayInfoQuery);
  const closed = gatewayInfo.data?.sign_up_open === false;
  return (
    <AuthLayout title={t("session.signUp")}>
      {closed ? <Notice>{t("session.signUpClosed")}</Notice> : <SignUpForm />}
      <p className="text-sm text-ink-soft">
        {t("session.haveAccount")}{" "}
        <Link to="/sign-in" className={AUTH_LINK_CLASS}>
          {t("session.signIn")}
        </Link>
      </p>
    </AuthLayout>
  );
}

function SignUpForm() {
  const { t } = useTranslation();
  const { signIn } = useSession();
  const form = useFormSubmit(async ({ email = "", password = "", name = "" }) => {
    await requestPublicJson("/api/auth/register", { method: "POST", body: { email, password, name } });
    await signIn(email, password);
  });
  const validationError =
    form.error instanceof ApiError && form.error.code === "validation_failed" ? form.error : null;
  return (
    <form onSubmit={form.submit} className="flex flex-col gap-4">
      <TextField label={t("session.name")} name="name" autoComplete="name" maxLength={200} />
      <TextField
        label={t("session.email")}
        name="email"
        type="email"
        autoComplete="username"
        required
        error={validationError?.param?.includes("email") ? validationError.message : null}
      />
      <TextField
        label={t("session.password")}
        name="password"
        type="password"
        autoComplete="new-password"
        minLength={10}
        maxLength={256}
        required
        hint={t("session.passwordHint")}
        error={validationError?.param?.includes("password") ? validationError.message : null}
      />
      {form.error && !/email|password/.test(validationError?.param ?? "") ? (
        <ErrorNotice error={form.error} />
      ) : null}
      <Button variant="primary" type="submit" busy={form.busy}>
        {t("session.signUp")}
      </Button>
    </form>
  );
}
