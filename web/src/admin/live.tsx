import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { call } from "../api/client";
import { formatDuration, formatNumber } from "../lib/format";
import { ErrorNotice } from "../ui/notice";
import { Section, Stat } from "../ui/page";
import { Clip, Table } from "../ui/table";
import type { Metrics } from "./types";

const EVERY_MS = 10_000;

/** What the gateway does now; asked for while somebody looks. */
export function LiveFigures() {
  const { t } = useTranslation();
  const metrics = useQuery({
    queryKey: ["admin", "metrics"],
    queryFn: ({ signal }) => call<Metrics>("/api/metrics", { signal }),
    refetchInterval: EVERY_MS,
  });
  if (metrics.error) return <ErrorNotice error={metrics.error} onRetry={() => void metrics.refetch()} />;
  if (!metrics.data) return null;
  const {
    latency_ms: latency,
    slowest,
    status,
    running_turns: running,
    uptime_seconds: uptime,
  } = metrics.data;
  const time = (ms: number | null) => (ms === null ? "–" : formatDuration(ms));
  const failed = Object.entries(status)
    .filter(([code]) => code.startsWith("5"))
    .reduce((sum, [, count]) => sum + count, 0);
  return (
    <Section title={t("admin.live.title")} hint={t("admin.live.hint")}>
      <dl className="grid grid-cols-2 gap-4 sm:grid-cols-4">
        <Stat label={t("admin.live.inFlight")} value={formatNumber(running)} />
        <Stat
          label={t("admin.live.requests")}
          value={formatNumber(metrics.data.requests)}
          hint={t("admin.live.failed", { count: failed })}
        />
        <Stat label={t("admin.live.latency")} value={time(latency.p50)} hint={`p95 ${time(latency.p95)}`} />
        <Stat
          label={t("admin.live.uptime")}
          value={t("admin.live.hours", { count: Math.floor(uptime / 3600) })}
        />
      </dl>
      <Table
        caption={t("admin.live.slowest")}
        showCaption
        rows={slowest}
        rowKey={(row) => row.request_id}
        columns={[
          {
            key: "route",
            title: t("admin.live.route"),
            cell: (row) => <Clip mono text={`${row.method} ${row.path}`} />,
          },
          { key: "status", title: t("admin.live.status"), numeric: true, cell: (row) => row.status },
          {
            key: "time",
            title: t("admin.live.time"),
            numeric: true,
            cell: (row) => formatDuration(row.duration_ms),
          },
          {
            key: "id",
            title: t("admin.live.request"),
            cell: (row) => <Clip mono short text={row.request_id} />,
          },
        ]}
      />
    </Section>
  );
}
