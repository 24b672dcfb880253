import { useRef } from "react";
import { useTranslation } from "react-i18next";
import { requestJson } from "../api/client";
import { ApiError } from "../api/errors";
import { useFormSubmit } from "../lib/use-form-submit";
import { useUser } from "../session/session-provider";
import { Button } from "../ui/button";
import { ErrorNotice } from "../ui/error-notice";
import { TextField } from "../ui/field";
import { Page } from "../ui/page";
import { toast } from "../ui/toast";

export function PasswordPage() {
  const { t } = useTranslation();
  const user = useUser();
  const formElement = useRef<HTMLFormElement>(null);
  const form = useFormSubmit(async ({ current = "", newPassword = "" }) => {
    const body = { current_password: current, new_password: newPassword };
    await requestJson<void>("/api/user/me/password", { method: "PUT", body });
    formElement.current?.reset();
    toast(t("account.security.changed"));
  });
  const wrongPassword = form.error instanceof ApiError && form.error.code === "invalid_credentials";
  return (
    <Page title={t("account.security.title")}>
      <form ref={formElement} onSubmit={form.submit} className="flex max-w-md flex-col gap-4">
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
          error={wrongPassword ? t("account.security.wrong") : null}
        />
        <TextField
          label={t("account.security.new")}
          name="newPassword"
          type="password"
          autoComplete="new-password"
          minLength={10}
          maxLength={256}
          required
          hint={t("session.passwordHint")}
        />
        {form.error && !wrongPassword ? <ErrorNotice error={form.error} /> : null}
        <Button variant="primary" type="submit" busy={form.busy} className="self-start">
          {t("account.security.change")}
        </Button>
      </form>
    </Page>
  );
}
