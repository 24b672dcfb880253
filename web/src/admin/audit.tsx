import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { call } from "../api/client";
import { sayName } from "../lib/codes";
import { formatTime } from "../lib/format";
import { plainLine } from "../lib/text";
import { Button } from "../ui/button";
import { SelectField, TextField } from "../ui/field";
import { Empty, ErrorNotice, Loading } from "../ui/notice";
import { Page } from "../ui/page";
import { Clip, Table } from "../ui/table";
import { ownZone } from "./range";
import type { AuditEntry, AuditPage } from "./types";

type Act = AuditEntry["action"];

// Each that the gateway writes down: one that is missing here is an error of the types.
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
} satisfies Record<Act, true>);

interface Filters {
  action: string;
  from: string;
  to: string;
}

/** Who did what to whom. */
export function AuditLog() {
  const { t } = useTranslation();
  const [filters, setFilters] = useState<Filters>({ action: "", from: "", to: "" });
  const [actor, setActor] = useState<string | null>(null);
  const tz = ownZone();
  const entries = useInfiniteQuery({
    queryKey: ["admin", "audit", filters, actor],
    queryFn: ({ pageParam, signal }) =>
      call<AuditPage>("/api/admin/audit", {
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
            {sayAct(name)}
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

function sayAct(action: string): string {
  const code = action.replace(".", "_");
  const said = sayName("acts", code);
  return said === code ? action : said;
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
          cell: ({ action }) => sayAct(action),
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
          cell: (entry) => <Target entry={entry} onChoose={onChoose} />,
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

/** An account by its address, a key by its name; other things by what they are. */
function Target({ entry, onChoose }: { entry: AuditEntry; onChoose: (id: string) => void }) {
  const { t } = useTranslation();
  const { target_id: id, target_type: type, target_email: email, target_name: name } = entry;
  if (type === "user" && id) return <Who id={id} email={email} onChoose={onChoose} />;
  const what = TARGETS.find((one) => one === type);
  return (
    <span title={id ?? undefined}>
      {what ? t(`admin.audit.targets.${what}`) : type}
      {name && (
        <>
          {" "}
          <Clip text={plainLine(name)} />
        </>
      )}
    </span>
  );
}

const TARGETS = ["api_key", "session", "configuration"] as const;

interface WhoProps {
  id: string;
  email: string | null;
  onChoose: (id: string) => void;
}

/** An account by its address, which leads to its acts; one that is gone has its id alone. */
function Who({ id, email, onChoose }: WhoProps) {
  if (email === null) return <Gone id={id} />;
  return (
    <button type="button" className="text-accent underline" title={id} onClick={() => onChoose(id)}>
      <Clip text={plainLine(email)} />
    </button>
  );
}

function Gone({ id }: { id: string }) {
  const { t } = useTranslation();
  return <span title={id}>{t("admin.usage.left")}</span>;
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
