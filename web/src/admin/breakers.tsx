import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { call } from "../api/client";
import { formatNumber, formatTime } from "../lib/format";
import { ErrorNotice, Loading } from "../ui/notice";
import { Page, Stat } from "../ui/page";
import { Table } from "../ui/table";
import type { Breaker, Breakers } from "./types";

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
            <span className={state === "closed" ? "" : "font-medium text-danger"}>
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
