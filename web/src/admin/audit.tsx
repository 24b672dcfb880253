import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { call } from "../api/client";
import { sayName } from "../lib/codes";
import { formatTime } from "../lib/format";
import { plainLine } from "../lib/text";
import { Button } from "../ui/button";
import { SelectField } from "../ui/field";
import { Empty, ErrorNotice, Loading } from "../ui/notice";
import { Page } from "../ui/page";
import { Clip, Table } from "../ui/table";
import type { AuditEntry, AuditPage } from "./types";

// As the gateway writes them down (docs/OPERATIONS.md).
const ACTIONS = [
  "user.changed",
  "user.deleted",
  "email.changed",
  "password.changed",
  "password.reset",
  "sessions.ended",
  "api_key.created",
  "api_key.revoked",
  "admin.created",
  "configuration.reloaded",
  "configuration.rejected",
] as const;

/** Who did what to whom. */
export function AuditLog() {
  const { t } = useTranslation();
  const [action, setAction] = useState("");
  const [actor, setActor] = useState<string | null>(null);
  const entries = useInfiniteQuery({
    queryKey: ["admin", "audit", action, actor],
    queryFn: ({ pageParam, signal }) =>
      call<AuditPage>("/api/admin/audit", { query: { action, actor_id: actor, cursor: pageParam }, signal }),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    placeholderData: keepPreviousData,
  });
  const rows = entries.data?.pages.flatMap((page) => page.items);
  return (
    <Page title={t("admin.nav.audit")} wide>
      <div className="max-w-xs">
        <SelectField
          label={t("admin.audit.action")}
          value={action}
          onChange={(event) => setAction(event.target.value)}
        >
          <option value="">{t("admin.audit.all")}</option>
          {ACTIONS.map((name) => (
            <option key={name} value={name}>
              {sayName("acts", name.replace(".", "_"))}
            </option>
          ))}
        </SelectField>
      </div>
      {actor && (
        <p className="flex flex-wrap items-center gap-2 text-sm">
          {t("admin.audit.only", { name: rows?.find((row) => row.actor_id === actor)?.actor_email ?? actor })}
          <Button small kind="quiet" icon="close" onClick={() => setActor(null)}>
            {t("admin.usage.all")}
          </Button>
        </p>
      )}
      {entries.error && <ErrorNotice error={entries.error} onRetry={() => void entries.refetch()} />}
      {entries.isPending && <Loading />}
      {rows &&
        (rows.length ? (
          <Entries rows={rows} onChoose={setActor} />
        ) : (
          <Empty icon="info" title={t("admin.audit.none")} />
        ))}
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

function Entries({ rows, onChoose }: { rows: AuditEntry[]; onChoose: (id: string) => void }) {
  const { t } = useTranslation();
  return (
    <Table
      caption={t("admin.nav.audit")}
      rows={rows}
      rowKey={(entry) => entry.id}
      columns={[
        { key: "time", title: t("admin.audit.time"), cell: ({ created_at }) => formatTime(created_at) },
        {
          key: "action",
          title: t("admin.audit.action"),
          cell: ({ action }) => {
            const code = action.replace(".", "_");
            const said = sayName("acts", code);
            return said === code ? action : said;
          },
        },
        {
          key: "actor",
          title: t("admin.audit.actor"),
          cell: ({ actor_id: id, actor_email: email }) =>
            id ? <Who id={id} email={email} onChoose={onChoose} /> : t("admin.audit.nobody"),
        },
        {
          key: "target",
          title: t("admin.audit.target"),
          cell: ({ target_id: id, target_email: email, target_type: type }) => {
            if (!id) return "–";
            return type === "user" ? (
              <Who id={id} email={email} onChoose={onChoose} />
            ) : (
              <Clip mono text={id} />
            );
          },
        },
        { key: "details", title: t("admin.audit.details"), cell: ({ details }) => detailsOf(details) },
        {
          key: "address",
          title: t("admin.audit.address"),
          cell: ({ ip }) => (ip ? <Clip mono text={ip} /> : "–"),
        },
        {
          key: "request",
          title: t("admin.live.request"),
          cell: ({ request_id: id }) => (id ? <Clip mono short text={id} /> : "–"),
        },
      ]}
    />
  );
}

interface WhoProps {
  id: string;
  email: string | null;
  onChoose: (id: string) => void;
}

/** An account by its address, which leads to its acts; one that is gone has its id alone. */
function Who({ id, email, onChoose }: WhoProps) {
  if (email === null) return <Clip mono text={id} />;
  return (
    <button type="button" className="text-accent underline" title={id} onClick={() => onChoose(id)}>
      <Clip text={plainLine(email)} />
    </button>
  );
}

/** `tier: free → pro`, a line for each detail. */
function detailsOf(details: AuditEntry["details"]) {
  const lines = Object.entries(details).map(([name, value]) => `${name}: ${plainLine(textOfValue(value))}`);
  if (lines.length === 0) return "–";
  return lines.map((line) => (
    <span key={line} className="block">
      <Clip text={line} />
    </span>
  ));
}

function textOfValue(value: unknown): string {
  if (typeof value !== "object" || value === null) return String(value);
  const { from, to, ...rest } = value as Record<string, unknown>;
  const isChange = "from" in value && "to" in value && Object.keys(rest).length === 0;
  return isChange ? `${String(from)} → ${String(to)}` : JSON.stringify(value);
}
