import { useState } from "react";
import { useTranslation } from "react-i18next";
import { requestJson } from "../api/client";
import type { User } from "../api/types";
import { formatDate } from "../lib/format";
import { sanitizeLine } from "../lib/text";
import { useFormSubmit } from "../lib/use-form-submit";
import { useSession, useUser } from "../session/session-provider";
import { Button } from "../ui/button";
import { ErrorNotice } from "../ui/error-notice";
import { TextField } from "../ui/field";
import { Page } from "../ui/page";
import { toast } from "../ui/toast";

export function ProfilePage() {
  const { t } = useTranslation();
  const user = useUser();
  const { setUser } = useSession();
  const [email, setEmail] = useState(user.email);
  const emailChanged = email.trim().toLowerCase() !== user.email;
  const form = useFormSubmit(async ({ name = "", email = "", password = "" }) => {
    const body = { name, email, ...(password ? { current_password: password } : {}) };
    setUser(await requestJson<User>("/api/user/me", { method: "PUT", body }));
    toast(t("common.saved"));
  });
  return (
    <Page title={t("account.profile.title")}>
      <form onSubmit={form.submit} className="flex max-w-md flex-col gap-4">
        <TextField
          label={t("account.profile.name")}
          name="name"
          defaultValue={sanitizeLine(user.name)}
          maxLength={200}
          autoComplete="name"
        />
        <TextField
          label={t("account.profile.email")}
          name="email"
          type="email"
          value={email}
          onChange={(event) => setEmail(event.target.value)}
          autoComplete="email"
          required
        />
        {emailChanged ? (
          <TextField
            label={t("account.profile.password")}
            hint={t("account.profile.emailChangeHint")}
            name="password"
            type="password"
            autoComplete="current-password"
            required
          />
        ) : null}
        {form.error ? <ErrorNotice error={form.error} /> : null}
        <Button variant="primary" type="submit" busy={form.busy} className="self-start">
          {t("common.save")}
        </Button>
      </form>
      <ReadOnlyDetails user={user} />
    </Page>
  );
}

/** What only an administrator can change. */
function ReadOnlyDetails({ user }: { user: User }) {
  const { t } = useTranslation();
  return (
    <dl className="grid max-w-md grid-cols-[auto_1fr] gap-x-6 gap-y-2 text-sm">
      <dt className="text-ink-soft">{t("account.profile.role")}</dt>
      <dd>{t(`account.profile.roles.${user.role}`)}</dd>
      <dt className="text-ink-soft">{t("account.profile.tier")}</dt>
      <dd>{user.tier}</dd>
      <dt className="text-ink-soft">{t("account.profile.memberSince")}</dt>
      <dd>{formatDate(user.created_at)}</dd>
    </dl>
  );
}
