import { queryOptions, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { requestJson } from "../api/client";
import type { Session } from "../api/types";
import { formatDateTime } from "../lib/format";
import { sanitizeLine } from "../lib/text";
import { useSession } from "../session/session-provider";
import { Button } from "../ui/button";
import { ConfirmDialog } from "../ui/dialog";
import { ErrorNotice } from "../ui/error-notice";
import { Loading } from "../ui/loading";
import { Page } from "../ui/page";
import { Table } from "../ui/table";
import { toast, toastError } from "../ui/toast";

const sessionsQuery = queryOptions({
  queryKey: ["sessions"],
  queryFn: async ({ signal }) =>
    (await requestJson<{ items: Session[] }>("/api/user/sessions", { signal })).items,
});

export function SessionsPage() {
  const { t } = useTranslation();
  const list = useQuery(sessionsQuery);
  const [confirming, setConfirming] = useState(false);
  return (
    <Page
      title={t("account.sessions.title")}
      actions={
        <Button icon="sign-out" onClick={() => setConfirming(true)}>
          {t("account.sessions.revokeAll")}
        </Button>
      }
    >
      {list.error && <ErrorNotice error={list.error} onRetry={() => void list.refetch()} />}
      {list.isPending && <Loading />}
      {list.data && <SessionTable sessions={list.data} />}
      {confirming && <SignOutEverywhereDialog onClose={() => setConfirming(false)} />}
    </Page>
  );
}

function SessionTable({ sessions: rows }: { sessions: Session[] }) {
  const { t } = useTranslation();
  const deviceName = (session: Session) =>
    sanitizeLine(session.device) || t("account.sessions.unknownDevice");
  return (
    <Table
      caption={t("account.sessions.title")}
      rows={rows}
      rowKey={(session) => session.id}
      columns={[
        {
          key: "device",
          title: t("account.sessions.device"),
          cell: (session) => (
            <>
              <span className="font-medium">{deviceName(session)}</span>
              {session.current && <span className="block text-accent">{t("account.sessions.current")}</span>}
            </>
          ),
        },
        { key: "address", title: t("account.sessions.ipAddress"), cell: ({ address }) => address ?? "–" },
        {
          key: "since",
          title: t("account.sessions.signedInAt"),
          cell: ({ created_at }) => formatDateTime(created_at),
        },
        {
          key: "last",
          title: t("account.sessions.lastUsed"),
          cell: ({ last_used_at }) => formatDateTime(last_used_at),
        },
        {
          key: "revoke",
          title: t("account.sessions.revoke"),
          cell: (session) =>
            session.current ? null : <RevokeButton id={session.id} device={deviceName(session)} />,
        },
      ]}
    />
  );
}

function RevokeButton({ id, device }: { id: string; device: string }) {
  const { t } = useTranslation();
  const queryClient = useQueryClient();
  const revoke = useMutation({
    mutationFn: () => requestJson<void>(`/api/user/sessions/${id}`, { method: "DELETE" }),
    onSuccess: () => {
      toast(t("account.sessions.revoked"));
      return queryClient.invalidateQueries({ queryKey: sessionsQuery.queryKey });
    },
    onError: toastError,
  });
  return (
    <Button
      small
      busy={revoke.isPending}
      aria-label={t("account.sessions.revokeNamed", { device })}
      onClick={() => revoke.mutate()}
    >
      {t("account.sessions.revoke")}
    </Button>
  );
}

function SignOutEverywhereDialog({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const { signOut } = useSession();
  const endAll = useMutation({
    mutationFn: async () => {
      await requestJson<void>("/api/user/sessions", { method: "DELETE" });
      // The sessions are revoked; signing out also deletes the cookie.
      await signOut();
    },
    onError: toastError,
  });
  return (
    <ConfirmDialog
      open
      title={t("account.sessions.revokeAll")}
      text={t("account.sessions.revokeAllText")}
      action={t("account.sessions.revokeAll")}
      busy={endAll.isPending}
      onConfirm={() => endAll.mutate()}
      onClose={onClose}
    />
  );
}
