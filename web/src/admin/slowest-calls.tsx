import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { requestJson } from "../api/client";
import { sanitizeLine } from "../lib/text";
import { EmptyState } from "../ui/empty-state";
import { ErrorNotice } from "../ui/error-notice";
import { Loading } from "../ui/loading";
import { Section } from "../ui/page";
import { Table, TruncatedCell } from "../ui/table";
import type { DateRange } from "./date-range";
import {
  accountColumn,
  latencyColumn,
  modelColumn,
  Outcome,
  timeColumn,
  tokensColumn,
} from "./model-call-columns";
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
      rowKey={(call) => call.id}
      columns={[
        latencyColumn(t),
        modelColumn(t),
        {
          key: "outcome",
          title: t("admin.slowest.outcome"),
          cell: ({ outcome }) => <Outcome outcome={outcome} />,
        },
        tokensColumn(t),
        timeColumn(t),
        accountColumn(t),
        {
          key: "request",
          title: t("admin.live.requestId"),
          cell: ({ request_id }) => (
            <Link
              className="text-accent underline"
              to={`/admin/requests?${new URLSearchParams({ request_id })}`}
            >
              <TruncatedCell mono narrow text={sanitizeLine(request_id)} />
            </Link>
          ),
        },
      ]}
    />
  );
}
