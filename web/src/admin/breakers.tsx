import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { call } from "../api/client";
import { formatNumber, formatTime } from "../lib/format";
import { Empty, ErrorNotice, Loading, Notice } from "../ui/notice";
import { Page, Section, Stat } from "../ui/page";
import { Table } from "../ui/table";
import type { Breaker, BreakerHistory, Breakers } from "./types";

const EVERY_MS = 5_000;
const ORDER: Breaker["state"][] = ["open", "half_open", "closed"];

/** Which upstreams are left alone, since when, and when they are tried again. */
export function BreakersPage() {
  const { t } = useTranslation();
  const breakers = useQuery({
    queryKey: ["admin", "breakers"],
    queryFn: ({ signal }) => call<Breakers>("/api/admin/circuit-breakers", { signal }),
    refetchInterval: EVERY_MS,
  });
  const rows = breakers.data?.data.toSorted((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state));
  return (
    <Page title={t("admin.nav.breakers")}>
      <p className="text-sm text-ink-soft">{t("admin.breakers.hint")}</p>
      {breakers.error && <ErrorNotice error={breakers.error} onRetry={() => void breakers.refetch()} />}
      {breakers.isPending && <Loading />}
      {breakers.data && (
        <dl className="grid grid-cols-3 gap-4">
          <Stat label={t("admin.breakers.open")} value={formatNumber(breakers.data.totals.open)} />
          <Stat label={t("admin.breakers.half_open")} value={formatNumber(breakers.data.totals.half_open)} />
          <Stat label={t("admin.breakers.closed")} value={formatNumber(breakers.data.totals.closed)} />
        </dl>
      )}
      {rows && <BreakerTable rows={rows} />}
      <History />
    </Page>
  );
}

function BreakerTable({ rows }: { rows: Breaker[] }) {
  const { t } = useTranslation();
  const time = (iso: string | null) => (iso === null ? "–" : formatTime(iso));
  return (
    <Table
      caption={t("admin.nav.breakers")}
      rows={rows}
      rowKey={(row) => `${row.upstream} ${row.model}`}
      columns={[
        { key: "upstream", title: t("admin.overview.provider"), cell: (row) => row.upstream },
        { key: "model", title: t("admin.overview.model"), cell: (row) => row.model },
        {
          key: "state",
          title: t("admin.models.state"),
          cell: ({ state }) => (
            <span className={`whitespace-nowrap ${state === "closed" ? "" : "font-medium text-danger"}`}>
              {t(`admin.breakers.${state}`)}
            </span>
          ),
        },
        {
          key: "failures",
          title: t("admin.breakers.failures"),
          numeric: true,
          cell: ({ failures }) => formatNumber(failures),
        },
        { key: "since", title: t("admin.breakers.since"), cell: ({ opened_at }) => time(opened_at) },
        { key: "retry", title: t("admin.breakers.retry"), cell: ({ retry_at }) => time(retry_at) },
      ]}
    />
  );
}

/** When breakers opened and closed, of all workers. */
function History() {
  const { t } = useTranslation();
  const history = useQuery({
    queryKey: ["admin", "breakers", "history"],
    queryFn: ({ signal }) =>
      call<BreakerHistory>("/api/admin/circuit-breakers/history", { query: { limit: 100 }, signal }),
    refetchInterval: EVERY_MS,
  });
  if (history.error) return <ErrorNotice error={history.error} onRetry={() => void history.refetch()} />;
  if (!history.data) return <Loading />;
  const { available, items } = history.data;
  return (
    <Section title={t("admin.breakers.history")} hint={t("admin.breakers.historyHint")}>
      {!available && <Notice kind="warning">{t("admin.breakers.historyAway")}</Notice>}
      {available && items.length === 0 && <Empty icon="shield" title={t("admin.breakers.historyNone")} />}
      {items.length > 0 && (
        <Table
          caption={t("admin.breakers.history")}
          rows={items}
          rowKey={(row) => `${row.at} ${row.upstream} ${row.model} ${row.event}`}
          columns={[
            { key: "at", title: t("admin.audit.time"), cell: ({ at }) => formatTime(at) },
            { key: "upstream", title: t("admin.overview.provider"), cell: (row) => row.upstream },
            { key: "model", title: t("admin.overview.model"), cell: (row) => row.model },
            {
              key: "event",
              title: t("admin.breakers.event"),
              cell: ({ event }) => (
                <span className={`whitespace-nowrap ${event === "closed" ? "text-accent" : "text-danger"}`}>
                  {t(`admin.breakers.${event}Event`)}
                </span>
              ),
            },
          ]}
        />
      )}
    </Section>
  );
}
