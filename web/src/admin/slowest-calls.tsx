import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { requestJson } from "../api/client";
import { isSuccessful, outcomeLabel } from "../i18n/code-labels";
import { formatDateTime, formatDuration, formatNumber } from "../lib/format";
import { sanitizeLine } from "../lib/text";
import { EmptyState } from "../ui/empty-state";
import { ErrorNotice } from "../ui/error-notice";
import { Loading } from "../ui/loading";
import { Section } from "../ui/page";
import { Table, TruncatedCell } from "../ui/table";
import type { DateRange } from "./date-range";
import type { SlowCall, SlowCallList } from "./types";

const REFRESH_INTERVAL_MS = 60_000;

/** The model calls with the highest latency in a date range. */
export function SlowestCalls({ range }: { range: DateRange }) {
  const { t } = useTranslation();
  const calls = useQuery({
    queryKey: ["admin", "slowest", range],
    queryFn: async ({ signal }) =>
      (await requestJson<SlowCallList>("/api/admin/slowest", { query: { ...range, limit: 10 }, signal }))
        .items,
    placeholderData: keepPreviousData,
    refetchInterval: REFRESH_INTERVAL_MS,
  });
  return (
    <Section title={t("admin.slowest.title")} hint={t("admin.slowest.hint")}>
      {calls.error && <ErrorNotice error={calls.error} onRetry={() => void calls.refetch()} />}
      {calls.isPending && <Loading />}
      {calls.data &&
        (calls.data.length ? (
          <SlowestCallsTable rows={calls.data} />
        ) : (
          <EmptyState icon="chart" title={t("common.noData")} />
        ))}
    </Section>
  );
}

function SlowestCallsTable({ rows }: { rows: SlowCall[] }) {
  const { t } = useTranslation();
  return (
    <Table
      caption={t("admin.slowest.title")}
      rows={rows}
      rowKey={(row) => row.id}
      columns={[
        {
          key: "latency",
          title: t("admin.slowest.latency"),
          numeric: true,
          cell: (row) => formatDuration(row.latency_ms),
        },
        {
          key: "model",
          title: t("admin.overview.model"),
          cell: (row) => (
            <>
              {row.model}
              <span className="block text-xs text-ink-soft">{row.provider}</span>
            </>
          ),
        },
        {
          key: "outcome",
          title: t("admin.slowest.outcome"),
          cell: ({ outcome }) => (
            <span className={isSuccessful(outcome) ? "" : "text-danger"}>{outcomeLabel(outcome)}</span>
          ),
        },
        {
          key: "tokens",
          title: t("admin.overview.tokens"),
          numeric: true,
          cell: (row) => formatNumber(row.prompt_tokens + row.completion_tokens),
        },
        {
          key: "when",
          title: t("admin.audit.time"),
          cell: (row) => <span className="whitespace-nowrap">{formatDateTime(row.created_at)}</span>,
        },
        {
          key: "account",
          title: t("admin.usage.account"),
          cell: (row) =>
            row.email ? <TruncatedCell text={sanitizeLine(row.email)} /> : t("admin.usage.deletedAccount"),
        },
        {
          key: "request",
          title: t("admin.live.requestId"),
          cell: (row) => (
            <Link
              className="text-accent underline"
              to={`/admin/requests?${new URLSearchParams({ request_id: row.request_id })}`}
            >
              <TruncatedCell mono narrow text={sanitizeLine(row.request_id)} />
            </Link>
          ),
        },
      ]}
    />
  );
}
