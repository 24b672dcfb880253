import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { call } from "../api/client";
import { formatCompact, formatDuration, formatMoney, formatNumber, formatPercent } from "../lib/format";
import { Chart } from "../ui/chart";
import { ErrorNotice, Loading } from "../ui/notice";
import { Page, Section, Stat } from "../ui/page";
import { LiveFigures } from "./live";
import { ModelCharts } from "./model-charts";
import { ByKind, ByModel } from "./parts";
import { type Days, useDays } from "./range";
import { RangePicker } from "./range-picker";
import { Slowest } from "./slowest";
import { TopAccounts } from "./top-accounts";
import type { Stats } from "./types";

// Fresh enough to follow what happens; a page that nobody looks at asks nothing.
const EVERY_MS = 30_000;

export function Overview() {
  const { t } = useTranslation();
  const [days, setDays] = useDays();
  const stats = useQuery({
    queryKey: ["admin", "stats", days],
    queryFn: ({ signal }) => call<Stats>("/api/admin/stats", { query: { ...days }, signal }),
    placeholderData: keepPreviousData,
    refetchInterval: EVERY_MS,
  });
  return (
    <Page title={t("admin.nav.overview")} wide>
      <RangePicker days={days} onChange={setDays} />
      {stats.error && <ErrorNotice error={stats.error} onRetry={() => void stats.refetch()} />}
      {stats.isPending && <Loading />}
      {stats.data && <Figures stats={stats.data} days={days} />}
      <ModelCharts days={days} />
      <TopAccounts days={days} />
      <Slowest days={days} />
      <LiveFigures />
    </Page>
  );
}

function Figures({ stats, days }: { stats: Stats; days: Days }) {
  const { t } = useTranslation();
  return (
    <>
      <Headline stats={stats} days={days} />
      <p className="text-sm text-ink-soft">{t("admin.overview.latencyHint")}</p>
      <ByDay stats={stats} />
      <Section title={t("admin.overview.byModel")}>
        <ByModel rows={stats.by_model} days={days} />
      </Section>
      <Section title={t("admin.overview.byKind")}>
        <ByKind rows={stats.by_kind} />
      </Section>
    </>
  );
}

function Headline({ stats, days }: { stats: Stats; days: Days }) {
  const { t } = useTranslation();
  const time = (ms: number | null) => (ms === null ? "–" : formatDuration(ms));
  const { p50, p95, p99 } = stats.latency_ms;
  return (
    <dl className="grid grid-cols-2 gap-4 sm:grid-cols-4">
      <Stat label={t("admin.overview.requests")} value={formatNumber(stats.requests)} />
      <Stat label={t("admin.overview.users")} value={formatNumber(stats.active_users)} />
      <Stat label={t("admin.overview.cost")} value={formatMoney(stats.cost_usd)} />
      <Stat
        label={t("admin.overview.tokens")}
        value={formatCompact(stats.total_tokens)}
        hint={t("admin.overview.tokensOf", {
          prompt: formatCompact(stats.prompt_tokens),
          completion: formatCompact(stats.completion_tokens),
        })}
      />
      <Stat
        label={t("admin.overview.errors")}
        value={formatPercent(stats.error_rate)}
        hint={
          <Link
            className="text-accent underline"
            to={`/admin/requests?${new URLSearchParams({ ...days, outcome: "failed" })}`}
          >
            {t("admin.overview.errorCount", { count: stats.errors })}
          </Link>
        }
      />
      <Stat
        label={t("admin.overview.cacheHits")}
        value={formatPercent(stats.requests ? stats.cache_hits / stats.requests : 0)}
        hint={t("admin.overview.cacheCount", { count: stats.cache_hits })}
      />
      <Stat label={t("admin.overview.median")} value={time(p50)} />
      <Stat label={t("admin.overview.slow")} value={time(p95)} hint={`p99 ${time(p99)}`} />
    </dl>
  );
}

function ByDay({ stats }: { stats: Stats }) {
  const { t } = useTranslation();
  const points = stats.by_day.map((day) => ({
    day: day.day,
    requests: day.requests,
    errors: day.errors,
    prompt: day.prompt_tokens,
    completion: day.completion_tokens,
    cost: Number(day.cost_usd),
    users: day.active_users,
    errorRate: day.error_rate,
    cacheHits: day.cache_hits,
    p50: day.latency_ms.p50,
    p95: day.latency_ms.p95,
    p99: day.latency_ms.p99,
  }));
  const common = { x: "day", xTitle: t("admin.overview.day"), points };
  return (
    <div className="grid gap-4 lg:grid-cols-2 lg:[&>:last-child:nth-child(odd)]:col-span-2">
      <Chart
        {...common}
        title={t("admin.overview.requestsByDay")}
        kind="bar"
        whole
        series={[
          { key: "requests", title: t("admin.overview.requests") },
          { key: "errors", title: t("admin.overview.errors"), bad: true },
        ]}
        format={formatCompact}
      />
      <Chart
        {...common}
        title={t("admin.overview.costByDay")}
        kind="bar"
        series={[{ key: "cost", title: t("admin.overview.cost") }]}
        format={formatMoney}
      />
      <Chart
        {...common}
        title={t("admin.overview.tokensByDay")}
        kind="bar"
        series={[
          { key: "prompt", title: t("admin.overview.prompt") },
          { key: "completion", title: t("admin.overview.completion") },
        ]}
        format={formatCompact}
      />
      <Chart
        {...common}
        title={t("admin.overview.errorsByDay")}
        kind="line"
        series={[{ key: "errorRate", title: t("admin.overview.errors"), bad: true }]}
        format={formatPercent}
      />
      <Chart
        {...common}
        title={t("admin.overview.latencyByDay")}
        kind="line"
        series={[
          { key: "p50", title: "p50" },
          { key: "p95", title: "p95" },
          { key: "p99", title: "p99" },
        ]}
        format={formatDuration}
      />
      <Chart
        {...common}
        title={t("admin.overview.usersByDay")}
        kind="bar"
        whole
        series={[{ key: "users", title: t("admin.overview.users") }]}
        format={formatCompact}
      />
      <Chart
        {...common}
        title={t("admin.overview.cacheByDay")}
        kind="bar"
        whole
        series={[{ key: "cacheHits", title: t("admin.overview.cacheHits") }]}
        format={formatCompact}
      />
    </div>
  );
}
