import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { call } from "../api/client";
import { formatTime } from "../lib/format";
import { plainLine } from "../lib/text";
import { Button } from "../ui/button";
import { SelectField } from "../ui/field";
import { Empty, ErrorNotice, Loading } from "../ui/notice";
import { Page } from "../ui/page";
import { Table } from "../ui/table";
import type { AuditEntry, AuditPage } from "./types";

// As the gateway writes them down (docs/OPERATIONS.md).
const ACTIONS = [
  "user.changed",
  "user.deleted",
  "password.changed",
  "password.reset",
  "sessions.ended",
  "api_key.created",
  "api_key.revoked",
  "admin.created",
  "configuration.reloaded",
] as const;

/** Who did what to whom. */
export function AuditLog() {
  const { t } = useTranslation();
  const [action, setAction] = useState("");
  const entries = useInfiniteQuery({
    queryKey: ["admin", "audit", action],
    queryFn: ({ pageParam, signal }) =>
      call<AuditPage>("/api/admin/audit", { query: { action, cursor: pageParam }, signal }),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    placeholderData: keepPreviousData,
  });
  const rows = entries.data?.pages.flatMap((page) => page.items);
  return (
    <Page title={t("admin.nav.audit")}>
      <div className="max-w-xs">
        <SelectField
          label={t("admin.audit.action")}
          value={action}
          onChange={(event) => setAction(event.target.value)}
        >
          <option value="">{t("admin.audit.all")}</option>
          {ACTIONS.map((name) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </SelectField>
      </div>
      {entries.error && <ErrorNotice error={entries.error} onRetry={() => void entries.refetch()} />}
      {entries.isPending && <Loading />}
      {rows && (rows.length ? <Entries rows={rows} /> : <Empty icon="info" title={t("admin.audit.none")} />)}
      {entries.hasNextPage && (
        <Button
          className="self-center"
          busy={entries.isFetchingNextPage}
          onClick={() => void entries.fetchNextPage()}
        >
          {t("common.more")}
        </Button>
      )}
    </Page>
  );
}

function Entries({ rows }: { rows: AuditEntry[] }) {
  const { t } = useTranslation();
  const mono = (text: string | null) => <span className="font-mono text-xs">{text ?? "–"}</span>;
  return (
    <Table
      caption={t("admin.nav.audit")}
      rows={rows}
      rowKey={(entry) => entry.id}
      columns={[
        { key: "time", title: t("admin.audit.time"), cell: ({ created_at }) => formatTime(created_at) },
        { key: "action", title: t("admin.audit.action"), cell: ({ action }) => action },
        {
          key: "actor",
          title: t("admin.audit.actor"),
          cell: ({ actor_id }) => (actor_id ? mono(actor_id) : t("admin.audit.nobody")),
        },
        { key: "target", title: t("admin.audit.target"), cell: ({ target_id }) => mono(target_id) },
        {
          key: "details",
          title: t("admin.audit.details"),
          cell: ({ details }) =>
            mono(Object.keys(details).length ? plainLine(JSON.stringify(details)) : null),
        },
        { key: "address", title: t("admin.audit.address"), cell: ({ ip }) => mono(ip) },
      ]}
    />
  );
}
