import { queryOptions, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { requestJson } from "../api/client";
import type { ApiKey, CreatedApiKey } from "../api/types";
import { formatDate, formatDateTime } from "../lib/format";
import { sanitizeLine } from "../lib/text";
import { Button } from "../ui/button";
import { ConfirmDialog } from "../ui/dialog";
import { EmptyState } from "../ui/empty-state";
import { ErrorNotice } from "../ui/error-notice";
import { Loading } from "../ui/loading";
import { Page } from "../ui/page";
import { Table } from "../ui/table";
import { toast, toastError } from "../ui/toast";
import { NewKeyDialog, SCOPES } from "./new-key-dialog";
import { SecretDialog } from "./secret-dialog";

export const apiKeysQuery = queryOptions({
  queryKey: ["keys"],
  queryFn: async ({ signal }) =>
    (await requestJson<{ items: ApiKey[] }>("/api/user/api-keys", { signal })).items,
});

export function ApiKeysPage() {
  const { t } = useTranslation();
  const queryClient = useQueryClient();
  const list = useQuery(apiKeysQuery);
  const [creating, setCreating] = useState(false);
  // The secret is kept in this state only, until the dialog is closed.
  const [createdKey, setCreatedKey] = useState<CreatedApiKey | null>(null);
  const newKeyButton = (
    <Button variant="primary" icon="plus" onClick={() => setCreating(true)}>
      {t("account.keys.new")}
    </Button>
  );
  return (
    <Page title={t("account.keys.title")} actions={list.data?.length ? newKeyButton : null}>
      <p className="text-sm text-ink-soft">{t("account.keys.hint")}</p>
      {list.error && <ErrorNotice error={list.error} onRetry={() => void list.refetch()} />}
      {list.isPending && <Loading />}
      {list.data?.length === 0 && (
        <EmptyState icon="key" title={t("account.keys.none")}>
          <p className="mb-4">{t("account.keys.noneHint")}</p>
          {newKeyButton}
        </EmptyState>
      )}
      {list.data && list.data.length > 0 && <ApiKeyTable keys={list.data} />}
      {creating && (
        <NewKeyDialog
          onClose={() => setCreating(false)}
          onCreated={(key) => {
            setCreating(false);
            setCreatedKey(key);
            void queryClient.invalidateQueries({ queryKey: apiKeysQuery.queryKey });
          }}
        />
      )}
      {createdKey && <SecretDialog apiKey={createdKey} onClose={() => setCreatedKey(null)} />}
    </Page>
  );
}

function ApiKeyTable({ keys }: { keys: ApiKey[] }) {
  const { t } = useTranslation();
  const [revoking, setRevoking] = useState<ApiKey | null>(null);
  return (
    <>
      <Table
        caption={t("account.keys.title")}
        rows={keys}
        rowKey={(key) => key.id}
        columns={[
          { key: "name", title: t("account.keys.name"), cell: ({ name }) => <bdi>{sanitizeLine(name)}</bdi> },
          {
            key: "prefix",
            title: t("account.keys.prefix"),
            cell: ({ prefix }) => <code className="font-mono text-xs">{prefix}…</code>,
          },
          { key: "scopes", title: t("account.keys.scopes"), cell: (key) => <Scopes apiKey={key} /> },
          {
            key: "created",
            title: t("account.keys.created"),
            cell: ({ created_at }) => formatDate(created_at),
          },
          {
            key: "used",
            title: t("account.keys.lastUsed"),
            cell: ({ last_used_at }) =>
              last_used_at ? formatDateTime(last_used_at) : t("account.keys.never"),
          },
          { key: "expires", title: t("account.keys.expires"), cell: (key) => <Expiry at={key.expires_at} /> },
          {
            key: "revoke",
            title: t("account.keys.revoke"),
            cell: (key) => (
              <Button
                small
                aria-label={t("account.keys.revokeNamed", { name: sanitizeLine(key.name) })}
                onClick={() => setRevoking(key)}
              >
                {t("account.keys.revoke")}
              </Button>
            ),
          },
        ]}
      />
      {revoking && <RevokeDialog apiKey={revoking} onClose={() => setRevoking(null)} />}
    </>
  );
}

function Scopes({ apiKey: { scopes, models } }: { apiKey: ApiKey }) {
  const { t } = useTranslation();
  const names = scopes.map((scope) =>
    t(`account.keys.scopeNames.${scope}` as "account.keys.scopeNames.chat"),
  );
  return (
    <>
      {scopes.length === SCOPES.length ? t("account.keys.allScopes") : names.join(", ")}
      {models && <span className="block text-ink-soft">{models.map(sanitizeLine).join(", ")}</span>}
    </>
  );
}

function Expiry({ at }: { at: string | null }) {
  const { t } = useTranslation();
  if (at === null) return t("account.keys.never");
  return new Date(at) < new Date() ? (
    <span className="text-danger">{t("account.keys.expired")}</span>
  ) : (
    formatDate(at)
  );
}

function RevokeDialog({ apiKey, onClose }: { apiKey: ApiKey; onClose: () => void }) {
  const { t } = useTranslation();
  const queryClient = useQueryClient();
  const revoke = useMutation({
    mutationFn: () => requestJson<void>(`/api/user/api-keys/${apiKey.id}`, { method: "DELETE" }),
    onSuccess: () => {
      toast(t("account.keys.revoked"));
      onClose();
      return queryClient.invalidateQueries({ queryKey: apiKeysQuery.queryKey });
    },
    onError: toastError,
  });
  return (
    <ConfirmDialog
      open
      title={t("account.keys.revokeTitle")}
      text={t("account.keys.revokeText", { name: sanitizeLine(apiKey.name) })}
      action={t("account.keys.revoke")}
      busy={revoke.isPending}
      onConfirm={() => revoke.mutate()}
      onClose={onClose}
    />
  );
}
