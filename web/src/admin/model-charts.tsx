import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { formatCompact, formatMoney } from "../lib/format";
import { Chart } from "../ui/chart";
import { Notice } from "../ui/notice";
import { type DateRange, daysBetween } from "./date-range";
import { OTHER_MODELS, seriesByModel } from "./model-series";
import type { UsageTotalsRow } from "./types";
import { usageRowsQuery } from "./usage-rows";

/** Cost and tokens by model and day. */
export function ModelCharts({ range }: { range: DateRange }) {
  const { t } = useTranslation();
  // `TopAccounts` uses the same query and shows its errors.
  const usage = useQuery(usageRowsQuery({ ...range, model: null, user_id: null }));
  if (!usage.data?.rows.length) return null;
  const { rows, complete } = usage.data;
  const renderChart = (
    title: string,
    amountOf: (row: UsageTotalsRow) => number,
    format: (value: number) => string,
  ) => {
    const { models, points } = seriesByModel(rows, daysBetween(range.from, range.to), amountOf);
    if (models.length === 0) return null;
    const series = models.map((model, index) => ({
      key: String(index),
      title: model === OTHER_MODELS ? t("admin.overview.otherModels") : model,
    }));
    return (
      <Chart
        title={title}
        kind="bar"
        stacked
        xKey="day"
        xTitle={t("admin.overview.day")}
        series={series}
        points={points}
        format={format}
      />
    );
  };
  return (
    <>
      {!complete && <Notice kind="warning">{t("admin.usage.incomplete")}</Notice>}
      <div className="grid gap-4 lg:grid-cols-2">
        {renderChart(t("admin.overview.costByModel"), ({ cost_usd }) => Number(cost_usd), formatMoney)}
        {renderChart(t("admin.overview.tokensByModel"), ({ total_tokens }) => total_tokens, formatCompact)}
      </div>
    </>
  );
}
