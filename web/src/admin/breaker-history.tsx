import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { requestJson } from "../api/client";
import { formatDateTime } from "../lib/format";
import { EmptyState } from "../ui/empty-state";
import { ErrorNotice } from "../ui/error-notice";
import { Loading } from "../ui/loading";
import { Notice } from "../ui/notice";
import { Section } from "../ui/page";
import { Table } from "../ui/table";
import type { BreakerHistory as BreakerHistoryResponse } from "./types";

const REFRESH_INTERVAL_MS = 10_000;

/** Events of the circuit breakers of all workers. */
export function BreakerHistory() {
  const { t } = useTranslation();
  const history = useQuery({
    queryKey: ["admin", "breakers", "history"],
    queryFn: ({ signal }) =>
      requestJson<BreakerHistoryResponse>("/api/admin/circuit-breakers/history", {
        query: { limit: 100 },
        signal,
      }),
    refetchInterval: REFRESH_INTERVAL_MS,
  });
  if (history.error) return <ErrorNotice error={history.error} onRetry={() => void history.refetch()} />;
  if (!history.data) return <Loading />;
  const { available, items } = history.data;
  return (
    <Section title={t("admin.breakers.history")} hint={t("admin.breakers.historyHint")}>
      {!available && <Notice kind="warning">{t("admin.breakers.historyUnavailable")}</Notice>}
      {available && items.length === 0 && (
        <EmptyState icon="shield" title={t("admin.breakers.historyEmpty")} />
      )}
      {items.length > 0 && (
        <Table
          caption={t("admin.breakers.history")}
          rows={items}
          rowKey={(row) => `${row.at} ${row.upstream} ${row.model} ${row.event}`}
          columns={[
            { key: "at", title: t("admin.audit.time"), cell: ({ at }) => formatDateTime(at) },
            { key: "upstream", title: t("admin.overview.provider"), cell: (row) => row.upstream },
            { key: "model", title: t("admin.overview.model"), cell: (row) => row.model },
            {
              key: "event",
              title: t("admin.breakers.event"),
              cell: ({ event }) => (
                <span className={`whitespace-nowrap ${event === "closed" ? "text-accent" : "text-danger"}`}>
                  {t(`admin.breakers.${event}Event`)}
                </span>
              ),
            },
          ]}
        />
      )}
    </Section>
  );
}
