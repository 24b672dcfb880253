import { useState } from "react";
import { useTranslation } from "react-i18next";
import { requestJson } from "../api/client";
import type { CreatedApiKey } from "../api/types";
import { useFormSubmit } from "../lib/use-form-submit";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { ErrorNotice } from "../ui/error-notice";
import { Checkbox, TextField } from "../ui/field";

export const SCOPES = ["chat", "models", "embeddings", "images", "usage"] as const;

export function NewKeyDialog({
  onCreated,
  onClose,
}: {
  onCreated: (key: CreatedApiKey) => void;
  onClose: () => void;
}) {
  const { t } = useTranslation();
  const [scopes, setScopes] = useState<readonly string[]>(SCOPES);
  const form = useFormSubmit(async (fields) => {
    onCreated(
      await requestJson<CreatedApiKey>("/api/user/api-keys", {
        method: "POST",
        body: requestBody(fields, scopes),
      }),
    );
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
                  SCOPES.filter((name) => (name === scope ? event.target.checked : scopes.includes(name))),
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
            label={t("account.keys.requestsPerMinute")}
            hint={t("account.keys.requestsPerMinuteHint")}
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
          <Button variant="primary" type="submit" busy={form.busy} disabled={scopes.length === 0}>
            {t("account.keys.create")}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

/** Empty fields are omitted: they mean no limit. A key expires at the end of the day in local time. */
function requestBody(fields: Record<string, string>, scopes: readonly string[]): object {
  const { name = "", models = "", perMinute = "", expires = "" } = fields;
  const modelNames = models
    .split(",")
    .map((name) => name.trim())
    .filter(Boolean);
  return {
    name,
    scopes,
    ...(modelNames.length > 0 && { models: modelNames }),
    ...(perMinute && { requests_per_minute: Number(perMinute) }),
    ...(expires && { expires_at: new Date(`${expires}T23:59:59`).toISOString() }),
  };
}
