import type { TFunction } from "i18next";
import { formatNumber, moneyFormatter } from "../lib/format";
import type { Column } from "../ui/table";

export interface UsageNumbers {
  requests: number;
  tokens: number;
  cost: number;
}

/** Right-aligned columns for requests, tokens and cost, and the footer cells with their totals. */
export function usageColumns<Row>(
  rows: readonly Row[],
  numbersOf: (row: Row) => UsageNumbers,
  t: TFunction,
): { columns: Column<Row>[]; totals: string[] } {
  const all = rows.map(numbersOf);
  const formatCost = moneyFormatter(all.map(({ cost }) => cost));
  const total = (key: keyof UsageNumbers) => all.reduce((sum, numbers) => sum + numbers[key], 0);
  return {
    columns: [
      {
        key: "requests",
        title: t("admin.overview.requests"),
        numeric: true,
        cell: (row) => formatNumber(numbersOf(row).requests),
      },
      {
        key: "tokens",
        title: t("admin.overview.tokens"),
        numeric: true,
        cell: (row) => formatNumber(numbersOf(row).tokens),
      },
      {
        key: "cost",
        title: t("admin.overview.cost"),
        numeric: true,
        cell: (row) => formatCost(numbersOf(row).cost),
      },
    ],
    totals: [formatNumber(total("requests")), formatNumber(total("tokens")), formatCost(total("cost"))],
  };
}
