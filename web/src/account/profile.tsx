import { useState } from "react";
import { useTranslation } from "react-i18next";
import { call } from "../api/client";
import type { User } from "../api/types";
import { formatDate } from "../lib/format";
import { plainLine } from "../lib/text";
import { useSession, useUser } from "../session/session";
import { useForm } from "../session/use-form";
import { Button } from "../ui/button";
import { TextField } from "../ui/field";
import { ErrorNotice } from "../ui/notice";
import { Page } from "../ui/page";
import { toast } from "../ui/toast";

export function ProfilePage() {
  const { t } = useTranslation();
  const user = useUser();
  const { changed } = useSession();
  const [email, setEmail] = useState(user.email);
  const moves = email.trim().toLowerCase() !== user.email;
  const form = useForm(async ({ name = "", email = "", password = "" }) => {
    const body = { name, email, ...(password ? { current_password: password } : {}) };
    changed(await call<User>("/api/user/me", { method: "PUT", body }));
    toast(t("common.saved"));
  });
  return (
    <Page title={t("account.profile.title")}>
      <form onSubmit={form.submit} className="flex max-w-md flex-col gap-4">
        <TextField
          label={t("account.profile.name")}
          name="name"
          defaultValue={plainLine(user.name)}
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
        {moves ? (
          <TextField
            label={t("account.profile.password")}
            hint={t("account.profile.moves")}
            name="password"
            type="password"
            autoComplete="current-password"
            required
          />
        ) : null}
        {form.error ? <ErrorNotice error={form.error} /> : null}
        <Button kind="primary" type="submit" busy={form.busy} className="self-start">
          {t("common.save")}
        </Button>
      </form>
      <dl className="grid max-w-md grid-cols-[auto_1fr] gap-x-6 gap-y-2 text-sm">
        <dt className="text-ink-soft">{t("account.profile.role")}</dt>
        <dd>{t(`account.profile.roles.${user.role}`)}</dd>
        <dt className="text-ink-soft">{t("account.profile.tier")}</dt>
        <dd>{user.tier}</dd>
        <dt className="text-ink-soft">{t("account.profile.since")}</dt>
        <dd>{formatDate(user.created_at)}</dd>
      </dl>
    </Page>
  );
}
