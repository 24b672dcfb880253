import { keepPreviousData, useQuery } from "@tanstack/react-query";
import type { TFunction } from "i18next";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { requestJson } from "../api/client";
import { formatCompact, formatDuration, formatMoney, formatNumber, formatPercent } from "../lib/format";
import { Chart } from "../ui/chart";
import type { ChartProps } from "../ui/chart-props";
import { ErrorNotice } from "../ui/error-notice";
import { Loading } from "../ui/loading";
import { Page, Section, Stat } from "../ui/page";
import { type DateRange, useDateRange } from "./date-range";
import { DateRangePicker } from "./date-range-picker";
import { LiveStats } from "./live-stats";
import { ModelCharts } from "./model-charts";
import { SlowestCalls } from "./slowest-calls";
import { StatsByKind, StatsByModel } from "./stats-tables";
import { TopAccounts } from "./top-accounts";
import type { Stats } from "./types";

/** Queries are refetched only while the page is visible. */
const REFRESH_INTERVAL_MS = 30_000;

export function OverviewPage() {
  const { t } = useTranslation();
  const [range, setRange] = useDateRange();
  const stats = useQuery({
    queryKey: ["admin", "stats", range],
    queryFn: ({ signal }) => requestJson<Stats>("/api/admin/stats", { query: { ...range }, signal }),
    placeholderData: keepPreviousData,
    refetchInterval: REFRESH_INTERVAL_MS,
  });
  return (
    <Page title={t("admin.nav.overview")} wide>
      <DateRangePicker range={range} onChange={setRange} />
      {stats.error && <ErrorNotice error={stats.error} onRetry={() => void stats.refetch()} />}
      {stats.isPending && <Loading />}
      {stats.data && <StatsSections stats={stats.data} range={range} />}
      <ModelCharts range={range} />
      <TopAccounts range={range} />
      <SlowestCalls range={range} />
      <LiveStats />
    </Page>
  );
}

function StatsSections({ stats, range }: { stats: Stats; range: DateRange }) {
  const { t } = useTranslation();
  return (
    <>
      <SummaryStats stats={stats} range={range} />
      <p className="text-sm text-ink-soft">{t("admin.overview.latencyHint")}</p>
      <DailyCharts stats={stats} />
      <Section title={t("admin.overview.byModel")}>
        <StatsByModel rows={stats.by_model} range={range} />
      </Section>
      <Section title={t("admin.overview.byKind")}>
        <StatsByKind rows={stats.by_kind} />
      </Section>
    </>
  );
}

function SummaryStats({ stats, range }: { stats: Stats; range: DateRange }) {
  const { t } = useTranslation();
  const formatLatency = (ms: number | null) => (ms === null ? "–" : formatDuration(ms));
  const { p50, p95, p99 } = stats.latency_ms;
  return (
    <dl className="grid grid-cols-2 gap-4 sm:grid-cols-4">
      <Stat label={t("admin.overview.requests")} value={formatNumber(stats.requests)} />
      <Stat label={t("admin.overview.activeUsers")} value={formatNumber(stats.active_users)} />
      <Stat label={t("admin.overview.cost")} value={formatMoney(stats.cost_usd)} />
      <Stat
        label={t("admin.overview.tokens")}
        value={formatCompact(stats.total_tokens)}
        hint={t("admin.overview.tokenSplit", {
          prompt: formatCompact(stats.prompt_tokens),
          completion: formatCompact(stats.completion_tokens),
        })}
      />
      <Stat
        label={t("admin.overview.errorRate")}
        value={formatPercent(stats.error_rate)}
        hint={
          <Link
            className="text-accent underline"
            to={`/admin/requests?${new URLSearchParams({ ...range, outcome: "failed" })}`}
          >
            {t("admin.overview.failedRequests", { count: stats.errors })}
          </Link>
        }
      />
      <Stat
        label={t("admin.overview.cacheHitRate")}
        value={formatPercent(stats.requests ? stats.cache_hits / stats.requests : 0)}
        hint={t("admin.overview.cacheHitCount", { count: stats.cache_hits })}
      />
      <Stat label={t("admin.overview.p50")} value={formatLatency(p50)} />
      <Stat label={t("admin.overview.p95")} value={formatLatency(p95)} hint={`p99 ${formatLatency(p99)}`} />
    </dl>
  );
}

function DailyCharts({ stats }: { stats: Stats }) {
  const { t } = useTranslation();
  const points = stats.by_day.map(dayPoint);
  return (
    <div className="grid gap-4 lg:grid-cols-2 lg:[&>:last-child:nth-child(odd)]:col-span-2">
      {dailyCharts(t).map((chart) => (
        <Chart key={chart.title} xKey="day" xTitle={t("admin.overview.day")} points={points} {...chart} />
      ))}
    </div>
  );
}

function dayPoint(day: Stats["by_day"][number]) {
  return {
    day: day.day,
    requests: day.requests,
    errors: day.errors,
    promptTokens: day.prompt_tokens,
    completionTokens: day.completion_tokens,
    cost: Number(day.cost_usd),
    activeUsers: day.active_users,
    errorRate: day.error_rate,
    cacheHits: day.cache_hits,
    p50: day.latency_ms.p50,
    p95: day.latency_ms.p95,
    p99: day.latency_ms.p99,
  };
}

/**
 * The charts in their order on the page; the keys of the series are those of `dayPoint`.
 *
 * Long because it lists seven charts.
 */
function dailyCharts(t: TFunction): Omit<ChartProps, "xKey" | "xTitle" | "points">[] {
  return [
    {
      title: t("admin.overview.requestsByDay"),
      kind: "bar",
      integers: true,
      series: [
        { key: "requests", title: t("admin.overview.requests") },
        { key: "errors", title: t("admin.overview.errors"), isError: true },
      ],
      format: formatCompact,
    },
    {
      title: t("admin.overview.costByDay"),
      kind: "bar",
      series: [{ key: "cost", title: t("admin.overview.cost") }],
      format: formatMoney,
    },
    {
      title: t("admin.overview.tokensByDay"),
      kind: "bar",
      series: [
        { key: "promptTokens", title: t("admin.overview.promptTokens") },
        { key: "completionTokens", title: t("admin.overview.completionTokens") },
      ],
      format: formatCompact,
    },
    {
      title: t("admin.overview.errorRateByDay"),
      kind: "line",
      series: [{ key: "errorRate", title: t("admin.overview.errorRate"), isError: true }],
      format: formatPercent,
    },
    {
      title: t("admin.overview.latencyByDay"),
      kind: "line",
      series: ["p50", "p95", "p99"].map((percentile) => ({ key: percentile, title: percentile })),
      format: formatDuration,
    },
    {
      title: t("admin.overview.activeUsersByDay"),
      kind: "bar",
      integers: true,
      series: [{ key: "activeUsers", title: t("admin.overview.activeUsers") }],
      format: formatCompact,
    },
    {
      title: t("admin.overview.cacheHitsByDay"),
      kind: "bar",
      integers: true,
      series: [{ key: "cacheHits", title: t("admin.overview.cacheHits") }],
      format: formatCompact,
    },
  ];
}
