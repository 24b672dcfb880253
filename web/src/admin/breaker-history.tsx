import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { call } from "../api/client";
import { formatTime } from "../lib/format";
import { Empty, ErrorNotice, Loading, Notice } from "../ui/notice";
import { Section } from "../ui/page";
import { Table } from "../ui/table";
import type { BreakerHistory as Changes } from "./types";

const EVERY_MS = 10_000;

/** When breakers opened and closed, of all workers. */
export function BreakerHistory() {
  const { t } = useTranslation();
  const history = useQuery({
    queryKey: ["admin", "breakers", "history"],
    queryFn: ({ signal }) =>
      call<Changes>("/api/admin/circuit-breakers/history", { query: { limit: 100 }, signal }),
    refetchInterval: EVERY_MS,
  });
  if (history.error) return <ErrorNotice error={history.error} onRetry={() => void history.refetch()} />;
  if (!history.data) return <Loading />;
  const { available, items } = history.data;
  return (
    <Section title={t("admin.breakers.history")} hint={t("admin.breakers.historyHint")}>
      {!available && <Notice kind="warning">{t("admin.breakers.historyAway")}</Notice>}
      {available && items.length === 0 && <Empty icon="shield" title={t("admin.breakers.historyNone")} />}
      {items.length > 0 && (
        <Table
          caption={t("admin.breakers.history")}
          rows={items}
          rowKey={(row) => `${row.at} ${row.upstream} ${row.model} ${row.event}`}
          columns={[
            { key: "at", title: t("admin.audit.time"), cell: ({ at }) => formatTime(at) },
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
