import { useRef } from "react";
import { useTranslation } from "react-i18next";
import { call } from "../api/client";
import { ApiError } from "../api/errors";
import { useUser } from "../session/session";
import { useForm } from "../session/use-form";
import { Button } from "../ui/button";
import { TextField } from "../ui/field";
import { ErrorNotice } from "../ui/notice";
import { Page } from "../ui/page";
import { toast } from "../ui/toast";

export function PasswordPage() {
  const { t } = useTranslation();
  const user = useUser();
  const element = useRef<HTMLFormElement>(null);
  const form = useForm(async ({ current = "", fresh = "" }) => {
    const body = { current_password: current, new_password: fresh };
    await call<void>("/api/user/me/password", { method: "PUT", body });
    element.current?.reset();
    toast(t("account.security.changed"));
  });
  const wrong = form.error instanceof ApiError && form.error.code === "invalid_credentials";
  return (
    <Page title={t("account.security.title")}>
      <form ref={element} onSubmit={form.submit} className="flex max-w-md flex-col gap-4">
        <p className="text-sm text-ink-soft">{t("account.security.hint")}</p>
        <input
          type="email"
          name="username"
          autoComplete="username"
          defaultValue={user.email}
          hidden
          readOnly
        />
        <TextField
          label={t("account.security.current")}
          name="current"
          type="password"
          autoComplete="current-password"
          required
          error={wrong ? t("account.security.wrong") : null}
        />
        <TextField
          label={t("account.security.fresh")}
          name="fresh"
          type="password"
          autoComplete="new-password"
          minLength={10}
          maxLength={256}
          required
          hint={t("session.passwordRule")}
        />
        {form.error && !wrong ? <ErrorNotice error={form.error} /> : null}
        <Button kind="primary" type="submit" busy={form.busy} className="self-start">
          {t("account.security.change")}
        </Button>
      </form>
    </Page>
  );
}
