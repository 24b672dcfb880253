import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { requestJson } from "../api/client";
import { codeLabel } from "../i18n/code-labels";
import { formatDateTime } from "../lib/format";
import { sanitizeLine } from "../lib/text";
import { Button } from "../ui/button";
import { EmptyState } from "../ui/empty-state";
import { ErrorNotice } from "../ui/error-notice";
import { SelectField, TextField } from "../ui/field";
import { Loading } from "../ui/loading";
import { Page } from "../ui/page";
import { ShowMoreButton } from "../ui/show-more-button";
import { Table, TruncatedCell } from "../ui/table";
import { browserTimeZone } from "./date-range";
import type { AuditEntry, AuditPage } from "./types";

type AuditAction = AuditEntry["action"];

// The type makes a missing or unknown action a compile error.
const ACTIONS = Object.keys({
  "user.changed": true,
  "user.deleted": true,
  "email.changed": true,
  "password.changed": true,
  "password.reset": true,
  "sessions.ended": true,
  "api_key.created": true,
  "api_key.revoked": true,
  "admin.created": true,
  "configuration.reloaded": true,
  "configuration.rejected": true,
} satisfies Record<AuditAction, true>);

interface Filters {
  action: string;
  from: string;
  to: string;
}

/** The audit log, filtered by action, date and actor. */
export function AuditLogPage() {
  const { t } = useTranslation();
  const [filters, setFilters] = useState<Filters>({ action: "", from: "", to: "" });
  const [actor, setActor] = useState<string | null>(null);
  const tz = browserTimeZone();
  const entries = useInfiniteQuery({
    queryKey: ["admin", "audit", filters, actor],
    queryFn: ({ pageParam, signal }) =>
      requestJson<AuditPage>("/api/admin/audit", {
        query: { ...filters, tz, actor_id: actor, cursor: pageParam },
        signal,
      }),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    placeholderData: keepPreviousData,
  });
  const rows = entries.data?.pages.flatMap((page) => page.items);
  return (
    <Page title={t("admin.nav.audit")} wide>
      <AuditFilters filters={filters} onChange={setFilters} />
      {actor && (
        <p className="flex flex-wrap items-center gap-2 text-sm">
          {t("admin.audit.filteredBy", {
            name: rows?.find((row) => row.actor_id === actor)?.actor_email ?? actor,
          })}
          <Button small variant="ghost" icon="close" onClick={() => setActor(null)}>
            {t("admin.usage.clearFilter")}
          </Button>
        </p>
      )}
      {entries.error && <ErrorNotice error={entries.error} onRetry={() => void entries.refetch()} />}
      {entries.isPending && <Loading />}
      {rows &&
        (rows.length ? (
          <AuditTable rows={rows} onSelect={setActor} />
        ) : (
          <EmptyState icon="info" title={t("admin.audit.none")} />
        ))}
      <ShowMoreButton query={entries} />
    </Page>
  );
}

function AuditFilters({ filters, onChange }: { filters: Filters; onChange: (filters: Filters) => void }) {
  const { t } = useTranslation();
  return (
    <search className="grid gap-3 sm:grid-cols-3">
      <SelectField
        label={t("admin.audit.action")}
        value={filters.action}
        onChange={(event) => onChange({ ...filters, action: event.target.value })}
      >
        <option value="">{t("admin.audit.all")}</option>
        {ACTIONS.map((name) => (
          <option key={name} value={name}>
            {actionLabel(name)}
          </option>
        ))}
      </SelectField>
      <TextField
        label={t("admin.range.from")}
        type="date"
        max={filters.to || undefined}
        value={filters.from}
        onChange={(event) => onChange({ ...filters, from: event.target.value })}
      />
      <TextField
        label={t("admin.range.to")}
        type="date"
        min={filters.from || undefined}
        value={filters.to}
        onChange={(event) => onChange({ ...filters, to: event.target.value })}
      />
    </search>
  );
}

function actionLabel(action: string): string {
  const code = action.replace(".", "_");
  const label = codeLabel("auditActions", code);
  return label === code ? action : label;
}

function AuditTable({ rows, onSelect }: { rows: AuditEntry[]; onSelect: (id: string) => void }) {
  const { t } = useTranslation();
  return (
    <Table
      caption={t("admin.nav.audit")}
      rows={rows}
      rowKey={(entry) => entry.id}
      columns={[
        { key: "time", title: t("admin.audit.time"), cell: ({ created_at }) => formatDateTime(created_at) },
        {
          key: "action",
          title: t("admin.audit.action"),
          cell: ({ action }) => actionLabel(action),
        },
        {
          key: "actor",
          title: t("admin.audit.actor"),
          cell: ({ actor_id: id, actor_email: email }) =>
            id ? <AccountButton id={id} email={email} onSelect={onSelect} /> : t("admin.audit.noActor"),
        },
        {
          key: "target",
          title: t("admin.audit.target"),
          cell: (entry) => <Target entry={entry} onSelect={onSelect} />,
        },
        { key: "details", title: t("admin.audit.details"), cell: ({ details }) => formatDetails(details) },
        {
          key: "address",
          title: t("admin.audit.ipAddress"),
          cell: ({ ip }) => (ip ? <TruncatedCell mono text={ip} /> : "–"),
        },
        {
          key: "request",
          title: t("admin.live.requestId"),
          cell: ({ request_id: id }) => (id ? <TruncatedCell mono narrow text={id} /> : "–"),
        },
      ]}
    />
  );
}

/** The target of an action: an account's email address, or the type and name of another object. */
function Target({ entry, onSelect }: { entry: AuditEntry; onSelect: (id: string) => void }) {
  const { t } = useTranslation();
  const { target_id: id, target_type: type, target_email: email, target_name: name } = entry;
  if (type === "user" && id) return <AccountButton id={id} email={email} onSelect={onSelect} />;
  const targetType = TARGET_TYPES.find((name) => name === type);
  return (
    <span title={id ?? undefined}>
      {targetType ? t(`admin.audit.targets.${targetType}`) : type}
      {name && (
        <>
          {" "}
          <TruncatedCell text={sanitizeLine(name)} />
        </>
      )}
    </span>
  );
}

const TARGET_TYPES = ["api_key", "session", "configuration"] as const;

interface AccountButtonProps {
  id: string;
  email: string | null;
  onSelect: (id: string) => void;
}

/** An account's email address, which filters the log by this account. */
function AccountButton({ id, email, onSelect }: AccountButtonProps) {
  if (email === null) return <DeletedAccount id={id} />;
  return (
    <button type="button" className="text-accent underline" title={id} onClick={() => onSelect(id)}>
      <TruncatedCell text={sanitizeLine(email)} />
    </button>
  );
}

function DeletedAccount({ id }: { id: string }) {
  const { t } = useTranslation();
  return <span title={id}>{t("admin.usage.deletedAccount")}</span>;
}

/** One line per detail, for example `tier: free → pro`. */
function formatDetails(details: AuditEntry["details"]) {
  const lines = Object.entries(details).map(
    ([name, value]) => `${name}: ${sanitizeLine(formatDetailValue(value))}`,
  );
  if (lines.length === 0) return "–";
  return lines.map((line) => (
    <span key={line} className="block">
      <TruncatedCell text={line} />
    </span>
  ));
}

function formatDetailValue(value: unknown): string {
  if (typeof value !== "object" || value === null) return String(value);
  const { from, to, ...rest } = value as Record<string, unknown>;
  const isChange = "from" in value && "to" in value && Object.keys(rest).length === 0;
  return isChange ? `${String(from)} → ${String(to)}` : JSON.stringify(value);
}
