import { queryOptions, useQuery } from "@tanstack/react-query";
import type { TFunction } from "i18next";
import { useTranslation } from "react-i18next";
import { call } from "../api/client";
import { formatNumber, moneyColumn } from "../lib/format";
import { plainLine } from "../lib/text";
import { Empty, ErrorNotice, Loading, Notice } from "../ui/notice";
import { Clip, Table } from "../ui/table";
import type { Asked } from "./sums";
import type { KeyUsage, KeyUsages } from "./types";

const MOST = 1000;

function keyUsage(asked: Asked) {
  return queryOptions({
    queryKey: ["admin", "usage", "keys", asked],
    queryFn: ({ signal }) =>
      call<KeyUsages>("/api/admin/usage/keys", { query: { ...asked, limit: MOST }, signal }),
    staleTime: 60_000,
  });
}

/** Usage by API key, the highest cost first. */
export function KeyTotals({ asked }: { asked: Asked }) {
  const { t } = useTranslation();
  const usage = useQuery(keyUsage(asked));
  if (usage.error) return <ErrorNotice error={usage.error} onRetry={() => void usage.refetch()} />;
  if (!usage.data) return <Loading />;
  const { items, more } = usage.data;
  if (items.length === 0) return <Empty icon="chart" title={t("common.noData")} />;
  const money = moneyColumn(items.map(({ cost_usd }) => cost_usd));
  const sum = (of: (one: KeyUsage) => number) => items.reduce((all, one) => all + of(one), 0);
  return (
    <>
      {more && <Notice kind="warning">{t("admin.usage.mostKeys")}</Notice>}
      <Table
        caption={t("admin.nav.usage")}
        rows={items}
        rowKey={(one) => `${one.user_id} ${one.api_key_id}`}
        columns={[
          {
            key: "name",
            title: t("admin.usage.groups.key"),
            cell: (one) => <Clip text={keyName(one, t)} />,
          },
          {
            key: "account",
            title: t("admin.usage.account"),
            cell: ({ email }) => <Clip text={email ? plainLine(email) : t("admin.usage.left")} />,
          },
          {
            key: "requests",
            title: t("admin.overview.requests"),
            numeric: true,
            cell: ({ requests }) => formatNumber(requests),
          },
          {
            key: "tokens",
            title: t("admin.overview.tokens"),
            numeric: true,
            cell: ({ total_tokens }) => formatNumber(total_tokens),
          },
          {
            key: "cost",
            title: t("admin.overview.cost"),
            numeric: true,
            cell: ({ cost_usd }) => money(cost_usd),
          },
        ]}
        foot={[
          t("admin.usage.total"),
          "",
          formatNumber(sum(({ requests }) => requests)),
          formatNumber(sum(({ total_tokens }) => total_tokens)),
          money(sum(({ cost_usd }) => Number(cost_usd))),
        ]}
      />
    </>
  );
}

function keyName({ api_key_id, name, prefix, user_id }: KeyUsage, t: TFunction): string {
  // What an account used that has left is on nobody's key.
  if (api_key_id === null) return user_id === null ? "–" : t("admin.usage.signedIn");
  return name === null ? t("admin.usage.deletedKey") : `${plainLine(name)} (${prefix}…)`;
}
