import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { formatDuration, formatNumber, formatPercent, moneyColumn } from "../lib/format";
import { type Column, Table } from "../ui/table";
import type { Days } from "./range";
import type { Stats } from "./types";

type Part = Stats["by_model"][number] | Stats["by_kind"][number];

/** The range by model; a model leads to its days. */
export function ByModel({ rows, days }: { rows: Stats["by_model"]; days: Days }) {
  const { t } = useTranslation();
  const figures = useFigures(rows);
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
              to={`/admin/usage?${new URLSearchParams({ ...days, model: row.model })}`}
            >
              {row.model}
            </Link>
          ),
        },
        { key: "provider", title: t("admin.overview.provider"), cell: (row) => row.provider },
        ...figures,
      ]}
    />
  );
}

export function ByKind({ rows }: { rows: Stats["by_kind"] }) {
  const { t } = useTranslation();
  const figures = useFigures(rows);
  return (
    <Table
      caption={t("admin.overview.byKind")}
      rows={rows}
      rowKey={(row) => row.kind}
      columns={[
        { key: "kind", title: t("admin.overview.kind"), cell: (row) => kindName(row.kind, t) },
        ...figures,
      ]}
    />
  );
}

function useFigures(rows: readonly Part[]): Column<Part>[] {
  const { t } = useTranslation();
  const money = moneyColumn(rows.map((row) => row.cost_usd));
  const time = (ms: number | null) => (ms === null ? "–" : formatDuration(ms));
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
      title: t("admin.overview.errors"),
      numeric,
      cell: (row) => formatPercent(row.error_rate),
    },
    {
      key: "cache",
      title: t("admin.overview.cacheHits"),
      numeric,
      cell: (row) => formatNumber(row.cache_hits),
    },
    { key: "p50", title: "p50", numeric, cell: (row) => time(row.latency_ms.p50) },
    { key: "p95", title: "p95", numeric, cell: (row) => time(row.latency_ms.p95) },
    { key: "p99", title: "p99", numeric, cell: (row) => time(row.latency_ms.p99) },
  ];
}

function kindName(kind: string, t: ReturnType<typeof useTranslation>["t"]): string {
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
