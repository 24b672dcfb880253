import { queryOptions, useQuery } from "@tanstack/react-query";
import type { TFunction } from "i18next";
import { useTranslation } from "react-i18next";
import { requestJson } from "../api/client";
import { sanitizeLine } from "../lib/text";
import { EmptyState } from "../ui/empty-state";
import { ErrorNotice } from "../ui/error-notice";
import { Loading } from "../ui/loading";
import { Notice } from "../ui/notice";
import { Table, TruncatedCell } from "../ui/table";
import type { KeyUsage, KeyUsageList } from "./types";
import { usageColumns } from "./usage-columns";
import type { UsageFilter } from "./usage-rows";

const MAX_KEYS = 1000;

function keyUsageQuery(filter: UsageFilter) {
  return queryOptions({
    queryKey: ["admin", "usage", "keys", filter],
    queryFn: ({ signal }) =>
      requestJson<KeyUsageList>("/api/admin/usage/keys", { query: { ...filter, limit: MAX_KEYS }, signal }),
    staleTime: 60_000,
  });
}

/** Usage by API key, the highest cost first. */
export function KeyUsageTable({ filter }: { filter: UsageFilter }) {
  const { t } = useTranslation();
  const usage = useQuery(keyUsageQuery(filter));
  if (usage.error) return <ErrorNotice error={usage.error} onRetry={() => void usage.refetch()} />;
  if (!usage.data) return <Loading />;
  const { items, more } = usage.data;
  if (items.length === 0) return <EmptyState icon="chart" title={t("common.noData")} />;
  const { columns, totals } = usageColumns(items, numbersOf, t);
  return (
    <>
      {more && <Notice kind="warning">{t("admin.usage.keysTruncated")}</Notice>}
      <Table
        caption={t("admin.nav.usage")}
        rows={items}
        rowKey={(row) => `${row.user_id} ${row.api_key_id}`}
        columns={[
          {
            key: "name",
            title: t("admin.usage.groups.key"),
            cell: (row) => <TruncatedCell text={keyLabel(row, t)} />,
          },
          {
            key: "account",
            title: t("admin.usage.account"),
            cell: ({ email }) => (
              <TruncatedCell text={email ? sanitizeLine(email) : t("admin.usage.deletedAccount")} />
            ),
          },
          ...columns,
        ]}
        footer={[t("admin.usage.total"), "", ...totals]}
      />
    </>
  );
}

function numbersOf({ requests, total_tokens, cost_usd }: KeyUsage) {
  return { requests, tokens: total_tokens, cost: Number(cost_usd) };
}

function keyLabel({ api_key_id, name, prefix, user_id }: KeyUsage, t: TFunction): string {
  // The usage of deleted accounts is not attributed to keys.
  if (api_key_id === null) return user_id === null ? "–" : t("admin.usage.noKey");
  return name === null ? t("admin.usage.deletedKey") : `${sanitizeLine(name)} (${prefix}…)`;
}
