import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { call } from "../api/client";
import { sayOutcome } from "../lib/codes";
import { formatDuration, formatNumber, formatTime } from "../lib/format";
import { plainLine } from "../lib/text";
import { Empty, ErrorNotice, Loading } from "../ui/notice";
import { Section } from "../ui/page";
import { Clip, Table } from "../ui/table";
import type { Days } from "./range";
import type { SlowCall, SlowCalls } from "./types";

const EVERY_MS = 60_000;
const GOOD = ["ok", "cached", "cancelled"];

/** Which calls of models took longest, with what it takes to find them in the log. */
export function Slowest({ days }: { days: Days }) {
  const { t } = useTranslation();
  const calls = useQuery({
    queryKey: ["admin", "slowest", days],
    queryFn: async ({ signal }) =>
      (await call<SlowCalls>("/api/admin/slowest", { query: { ...days, limit: 10 }, signal })).items,
    placeholderData: keepPreviousData,
    refetchInterval: EVERY_MS,
  });
  return (
    <Section title={t("admin.slowest.title")} hint={t("admin.slowest.hint")}>
      {calls.error && <ErrorNotice error={calls.error} onRetry={() => void calls.refetch()} />}
      {calls.isPending && <Loading />}
      {calls.data &&
        (calls.data.length ? <Calls rows={calls.data} /> : <Empty icon="chart" title={t("common.noData")} />)}
    </Section>
  );
}

function Calls({ rows }: { rows: SlowCall[] }) {
  const { t } = useTranslation();
  return (
    <Table
      caption={t("admin.slowest.title")}
      rows={rows}
      rowKey={(row) => row.id}
      columns={[
        {
          key: "took",
          title: t("admin.slowest.took"),
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
            <span className={GOOD.includes(outcome) ? "" : "text-danger"}>{sayOutcome(outcome)}</span>
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
          cell: (row) => <span className="whitespace-nowrap">{formatTime(row.created_at)}</span>,
        },
        {
          key: "account",
          title: t("admin.usage.account"),
          cell: (row) => (row.email ? <Clip text={plainLine(row.email)} /> : t("admin.usage.left")),
        },
        {
          key: "request",
          title: t("admin.live.request"),
          cell: (row) => (
            <Link
              className="text-accent underline"
              to={`/admin/requests?${new URLSearchParams({ request_id: row.request_id })}`}
            >
              <Clip mono short text={plainLine(row.request_id)} />
            </Link>
          ),
        },
      ]}
    />
  );
}
