import { useState } from "react";
import { useTranslation } from "react-i18next";
import { call } from "../api/client";
import type { CreatedApiKey } from "../api/types";
import { useForm } from "../session/use-form";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { Checkbox, TextField } from "../ui/field";
import { ErrorNotice } from "../ui/notice";

export const SCOPES = ["chat", "models", "embeddings", "images", "usage"] as const;

export function NewKey({ onMade, onClose }: { onMade: (key: CreatedApiKey) => void; onClose: () => void }) {
  const { t } = useTranslation();
  const [scopes, setScopes] = useState<readonly string[]>(SCOPES);
  const form = useForm(async (fields) => {
    onMade(await call<CreatedApiKey>("/api/user/api-keys", { method: "POST", body: bodyOf(fields, scopes) }));
  });
  return (
    <Dialog open title={t("account.keys.new")} onClose={onClose}>
      <form onSubmit={form.submit} className="flex flex-col gap-4">
        <TextField
          label={t("account.keys.name")}
          name="name"
          placeholder={t("account.keys.namePlaceholder")}
          maxLength={100}
          autoComplete="off"
          required
        />
        <fieldset className="flex flex-col gap-2">
          <legend className="mb-1.5 text-sm font-medium">{t("account.keys.scopes")}</legend>
          {SCOPES.map((scope) => (
            <Checkbox
              key={scope}
              label={t(`account.keys.scopeNames.${scope}`)}
              checked={scopes.includes(scope)}
              onChange={(event) =>
                setScopes(
                  SCOPES.filter((one) => (one === scope ? event.target.checked : scopes.includes(one))),
                )
              }
            />
          ))}
        </fieldset>
        <TextField
          label={t("account.keys.models")}
          hint={t("account.keys.modelsHint")}
          name="models"
          autoComplete="off"
        />
        <div className="grid gap-4 sm:grid-cols-2">
          <TextField
            label={t("account.keys.perMinute")}
            hint={t("account.keys.perMinuteHint")}
            name="perMinute"
            type="number"
            min={1}
            max={1_000_000}
          />
          <TextField
            label={t("account.keys.expires")}
            hint={t("account.keys.expiresHint")}
            name="expires"
            type="date"
          />
        </div>
        {form.error ? <ErrorNotice error={form.error} /> : null}
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>{t("common.cancel")}</Button>
          <Button kind="primary" type="submit" busy={form.busy} disabled={scopes.length === 0}>
            {t("account.keys.create")}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

/** What is left out has no limit of its own. A key expires at the end of its day, here. */
function bodyOf(fields: Record<string, string>, scopes: readonly string[]): object {
  const { name = "", models = "", perMinute = "", expires = "" } = fields;
  const named = models
    .split(",")
    .map((one) => one.trim())
    .filter(Boolean);
  return {
    name,
    scopes,
    ...(named.length > 0 && { models: named }),
    ...(perMinute && { requests_per_minute: Number(perMinute) }),
    ...(expires && { expires_at: new Date(`${expires}T23:59:59`).toISOString() }),
  };
}
