import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { requestJson } from "../api/client";
import { formatDuration, formatNumber } from "../lib/format";
import { ErrorNotice } from "../ui/error-notice";
import { Section, Stat } from "../ui/page";
import { Table, TruncatedCell } from "../ui/table";
import type { LiveMetrics } from "./types";

const REFRESH_INTERVAL_MS = 10_000;

/** Current metrics of the gateway, polled while the page is visible. */
export function LiveStats() {
  const { t } = useTranslation();
  const metrics = useQuery({
    queryKey: ["admin", "metrics"],
    queryFn: ({ signal }) => requestJson<LiveMetrics>("/api/metrics", { signal }),
    refetchInterval: REFRESH_INTERVAL_MS,
  });
  if (metrics.error) return <ErrorNotice error={metrics.error} onRetry={() => void metrics.refetch()} />;
  if (!metrics.data) return null;
  return (
    <Section title={t("admin.live.title")} hint={t("admin.live.hint")}>
      <LiveNumbers metrics={metrics.data} />
      <SlowestRequests rows={metrics.data.slowest} />
    </Section>
  );
}

function LiveNumbers({ metrics }: { metrics: LiveMetrics }) {
  const { t } = useTranslation();
  const { latency_ms: latency, requests, running_turns: runningTurns, uptime_seconds: uptime } = metrics;
  const formatLatency = (ms: number | null) => (ms === null ? "–" : formatDuration(ms));
  const serverErrors = Object.entries(metrics.status)
    .filter(([code]) => code.startsWith("5"))
    .reduce((sum, [, count]) => sum + count, 0);
  return (
    <dl className="grid grid-cols-2 gap-4 sm:grid-cols-4">
      <Stat label={t("admin.live.runningTurns")} value={formatNumber(runningTurns)} />
      <Stat
        label={t("admin.live.requests")}
        value={formatNumber(requests)}
        hint={t("admin.live.serverErrors", { count: serverErrors })}
      />
      <Stat
        label={t("admin.live.p50")}
        value={formatLatency(latency.p50)}
        hint={`p95 ${formatLatency(latency.p95)}`}
      />
      <Stat
        label={t("admin.live.uptime")}
        value={t("admin.live.hours", { count: Math.floor(uptime / 3600) })}
      />
    </dl>
  );
}

function SlowestRequests({ rows }: { rows: LiveMetrics["slowest"] }) {
  const { t } = useTranslation();
  return (
    <Table
      caption={t("admin.live.slowest")}
      showCaption
      rows={rows}
      rowKey={(row) => row.request_id}
      columns={[
        {
          key: "route",
          title: t("admin.live.route"),
          cell: (row) => <TruncatedCell mono text={`${row.method} ${row.path}`} />,
        },
        { key: "status", title: t("admin.live.status"), numeric: true, cell: (row) => row.status },
        {
          key: "duration",
          title: t("admin.live.duration"),
          numeric: true,
          cell: (row) => formatDuration(row.duration_ms),
        },
        {
          key: "request",
          title: t("admin.live.requestId"),
          cell: (row) => <TruncatedCell mono narrow text={row.request_id} />,
        },
      ]}
    />
  );
}
