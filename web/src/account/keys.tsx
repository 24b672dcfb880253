import { queryOptions, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { call } from "../api/client";
import type { ApiKey, CreatedApiKey } from "../api/types";
import { formatDate, formatTime } from "../lib/format";
import { plainLine } from "../lib/text";
import { Button } from "../ui/button";
import { ConfirmDialog } from "../ui/dialog";
import { Empty, ErrorNotice, Loading } from "../ui/notice";
import { Page } from "../ui/page";
import { Table } from "../ui/table";
import { toast, toastError } from "../ui/toast";
import { NewKey, SCOPES } from "./new-key";
import { SecretDialog } from "./secret";

export const apiKeys = queryOptions({
  queryKey: ["keys"],
  queryFn: async ({ signal }) => (await call<{ items: ApiKey[] }>("/api/user/api-keys", { signal })).items,
});

export function KeysPage() {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const list = useQuery(apiKeys);
  const [making, setMaking] = useState(false);
  // The secret is in this state alone, and gone with the dialog.
  const [made, setMade] = useState<CreatedApiKey | null>(null);
  const newKey = (
    <Button kind="primary" icon="plus" onClick={() => setMaking(true)}>
      {t("account.keys.new")}
    </Button>
  );
  return (
    <Page title={t("account.keys.title")} actions={list.data?.length ? newKey : null}>
      <p className="text-sm text-ink-soft">{t("account.keys.hint")}</p>
      {list.error && <ErrorNotice error={list.error} onRetry={() => void list.refetch()} />}
      {list.isPending && <Loading />}
      {list.data?.length === 0 && (
        <Empty icon="key" title={t("account.keys.none")}>
          <p className="mb-4">{t("account.keys.noneHint")}</p>
          {newKey}
        </Empty>
      )}
      {list.data && list.data.length > 0 && <KeyTable keys={list.data} />}
      {making && (
        <NewKey
          onClose={() => setMaking(false)}
          onMade={(key) => {
            setMaking(false);
            setMade(key);
            void queries.invalidateQueries({ queryKey: apiKeys.queryKey });
          }}
        />
      )}
      {made && <SecretDialog apiKey={made} onClose={() => setMade(null)} />}
    </Page>
  );
}

function KeyTable({ keys }: { keys: ApiKey[] }) {
  const { t } = useTranslation();
  const [revoking, setRevoking] = useState<ApiKey | null>(null);
  return (
    <>
      <Table
        caption={t("account.keys.title")}
        rows={keys}
        rowKey={(key) => key.id}
        columns={[
          { key: "name", title: t("account.keys.name"), cell: ({ name }) => <bdi>{plainLine(name)}</bdi> },
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
            cell: ({ last_used_at }) => (last_used_at ? formatTime(last_used_at) : t("account.keys.never")),
          },
          { key: "expires", title: t("account.keys.expires"), cell: (key) => <Expiry at={key.expires_at} /> },
          {
            key: "revoke",
            title: t("account.keys.revoke"),
            cell: (key) => (
              <Button
                small
                aria-label={t("account.keys.revokeNamed", { name: plainLine(key.name) })}
                onClick={() => setRevoking(key)}
              >
                {t("account.keys.revoke")}
              </Button>
            ),
          },
        ]}
      />
      {revoking && <Revoke apiKey={revoking} onClose={() => setRevoking(null)} />}
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
      {models && <span className="block text-ink-soft">{models.map(plainLine).join(", ")}</span>}
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

function Revoke({ apiKey, onClose }: { apiKey: ApiKey; onClose: () => void }) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const revoke = useMutation({
    mutationFn: () => call<void>(`/api/user/api-keys/${apiKey.id}`, { method: "DELETE" }),
    onSuccess: () => {
      toast(t("account.keys.revoked"));
      onClose();
      return queries.invalidateQueries({ queryKey: apiKeys.queryKey });
    },
    onError: toastError,
  });
  return (
    <ConfirmDialog
      open
      title={t("account.keys.revokeTitle")}
      text={t("account.keys.revokeText", { name: plainLine(apiKey.name) })}
      action={t("account.keys.revoke")}
      busy={revoke.isPending}
      onConfirm={() => revoke.mutate()}
      onClose={onClose}
    />
  );
}
