import type { TFunction } from "i18next";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { formatDuration, formatNumber, formatPercent, moneyFormatter } from "../lib/format";
import { type Column, Table } from "../ui/table";
import type { DateRange } from "./date-range";
import type { Stats } from "./types";

type StatsRow = Stats["by_model"][number] | Stats["by_kind"][number];

/** Statistics by model; each model links to its usage. */
export function StatsByModel({ rows, range }: { rows: Stats["by_model"]; range: DateRange }) {
  const { t } = useTranslation();
  const statsColumns = useStatsColumns(rows);
  return (
    <Table
      caption={t("admin.overview.byModel")}
      rows={rows}
      rowKey={(row) => `${row.model} ${row.provider}`}
      columns={[
        {
          key: "model",
          title: t("admin.overview.model"),
          cell: (row) => (
            <Link
              className="text-accent underline"
              to={`/admin/usage?${new URLSearchParams({ ...range, model: row.model })}`}
            >
              {row.model}
            </Link>
          ),
        },
        { key: "provider", title: t("admin.overview.provider"), cell: (row) => row.provider },
        ...statsColumns,
      ]}
    />
  );
}

/** Statistics by kind of call. */
export function StatsByKind({ rows }: { rows: Stats["by_kind"] }) {
  const { t } = useTranslation();
  const statsColumns = useStatsColumns(rows);
  return (
    <Table
      caption={t("admin.overview.byKind")}
      rows={rows}
      rowKey={(row) => row.kind}
      columns={[
        { key: "kind", title: t("admin.overview.kind"), cell: (row) => kindLabel(row.kind, t) },
        ...statsColumns,
      ]}
    />
  );
}

function useStatsColumns(rows: readonly StatsRow[]): Column<StatsRow>[] {
  const { t } = useTranslation();
  const money = moneyFormatter(rows.map((row) => row.cost_usd));
  const formatLatency = (ms: number | null) => (ms === null ? "–" : formatDuration(ms));
  const numeric = true;
  return [
    {
      key: "requests",
      title: t("admin.overview.requests"),
      numeric,
      cell: (row) => formatNumber(row.requests),
    },
    { key: "calls", title: t("admin.overview.calls"), numeric, cell: (row) => formatNumber(row.calls) },
    {
      key: "tokens",
      title: t("admin.overview.tokens"),
      numeric,
      cell: (row) => formatNumber(row.total_tokens),
    },
    { key: "cost", title: t("admin.overview.cost"), numeric, cell: (row) => money(row.cost_usd) },
    {
      key: "errors",
      title: t("admin.overview.errorRate"),
      numeric,
      cell: (row) => formatPercent(row.error_rate),
    },
    {
      key: "cache",
      title: t("admin.overview.cacheHits"),
      numeric,
      cell: (row) => formatNumber(row.cache_hits),
    },
    { key: "p50", title: "p50", numeric, cell: (row) => formatLatency(row.latency_ms.p50) },
    { key: "p95", title: "p95", numeric, cell: (row) => formatLatency(row.latency_ms.p95) },
    { key: "p99", title: "p99", numeric, cell: (row) => formatLatency(row.latency_ms.p99) },
  ];
}

function kindLabel(kind: string, t: TFunction): string {
  switch (kind) {
    case "chat":
      return t("admin.kinds.chat");
    case "tool":
      return t("admin.kinds.tool");
    case "embedding":
      return t("admin.kinds.embedding");
    case "image":
      return t("admin.kinds.image");
    case "guard":
      return t("admin.kinds.guard");
    default:
      return kind;
  }
}
