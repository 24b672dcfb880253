import { queryOptions, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { call } from "../api/client";
import type { Session } from "../api/types";
import { formatTime } from "../lib/format";
import { plainLine } from "../lib/text";
import { useSession } from "../session/session";
import { Button } from "../ui/button";
import { ConfirmDialog } from "../ui/dialog";
import { ErrorNotice, Loading } from "../ui/notice";
import { Page } from "../ui/page";
import { Table } from "../ui/table";
import { toast, toastError } from "../ui/toast";

const sessions = queryOptions({
  queryKey: ["sessions"],
  queryFn: async ({ signal }) => (await call<{ items: Session[] }>("/api/user/sessions", { signal })).items,
});

export function SessionsPage() {
  const { t } = useTranslation();
  const list = useQuery(sessions);
  const [asking, setAsking] = useState(false);
  return (
    <Page
      title={t("account.sessions.title")}
      actions={
        <Button icon="out" onClick={() => setAsking(true)}>
          {t("account.sessions.endAll")}
        </Button>
      }
    >
      {list.error && <ErrorNotice error={list.error} onRetry={() => void list.refetch()} />}
      {list.isPending && <Loading />}
      {list.data && <SessionTable sessions={list.data} />}
      {asking && <EndAll onClose={() => setAsking(false)} />}
    </Page>
  );
}

function SessionTable({ sessions: rows }: { sessions: Session[] }) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const end = useMutation({
    mutationFn: (id: string) => call<void>(`/api/user/sessions/${id}`, { method: "DELETE" }),
    onSuccess: () => {
      toast(t("account.sessions.ended"));
      return queries.invalidateQueries({ queryKey: sessions.queryKey });
    },
    onError: toastError,
  });
  const device = (session: Session) => plainLine(session.device) || t("account.sessions.unknown");
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
              <span className="font-medium">{device(session)}</span>
              {session.current && <span className="block text-accent">{t("account.sessions.current")}</span>}
            </>
          ),
        },
        { key: "address", title: t("account.sessions.address"), cell: ({ address }) => address ?? "–" },
        {
          key: "since",
          title: t("account.sessions.since"),
          cell: ({ created_at }) => formatTime(created_at),
        },
        {
          key: "last",
          title: t("account.sessions.last"),
          cell: ({ last_used_at }) => formatTime(last_used_at),
        },
        {
          key: "end",
          title: t("account.sessions.end"),
          cell: (session) =>
            session.current ? null : (
              <Button
                small
                busy={end.isPending && end.variables === session.id}
                aria-label={t("account.sessions.endNamed", { device: device(session) })}
                onClick={() => end.mutate(session.id)}
              >
                {t("account.sessions.end")}
              </Button>
            ),
        },
      ]}
    />
  );
}

function EndAll({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const { signOut } = useSession();
  const end = useMutation({
    mutationFn: async () => {
      await call<void>("/api/user/sessions", { method: "DELETE" });
      // The sessions are gone; this takes the cookie away as well.
      await signOut();
    },
    onError: toastError,
  });
  return (
    <ConfirmDialog
      open
      title={t("account.sessions.endAll")}
      text={t("account.sessions.endAllText")}
      action={t("account.sessions.endAll")}
      busy={end.isPending}
      onConfirm={() => end.mutate()}
      onClose={onClose}
    />
  );
}
