import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { formatCompact, formatMoney } from "../lib/format";
import { Chart } from "../ui/chart";
import { Notice } from "../ui/notice";
import { daysBetween, OTHERS, seriesByModel } from "./model-series";
import type { Days } from "./range";
import { allSums } from "./sums";
import type { UsageSum } from "./types";

/** Cost and tokens of each model, day by day. */
export function ModelCharts({ days }: { days: Days }) {
  const { t } = useTranslation();
  // The same reading as the dearest accounts' (`TopAccounts`), which says what went wrong with it.
  const sums = useQuery(allSums({ ...days, model: null, user_id: null }));
  if (!sums.data?.rows.length) return null;
  const { rows, whole } = sums.data;
  const drawn = (title: string, amountOf: (row: UsageSum) => number, format: (value: number) => string) => {
    const { models, points } = seriesByModel(rows, daysBetween(days.from, days.to), amountOf);
    if (models.length === 0) return null;
    const series = models.map((model, place) => ({
      key: String(place),
      title: model === OTHERS ? t("admin.overview.otherModels") : model,
    }));
    return (
      <Chart
        title={title}
        kind="bar"
        stacked
        x="day"
        xTitle={t("admin.overview.day")}
        series={series}
        points={points}
        format={format}
      />
    );
  };
  return (
    <>
      {!whole && <Notice kind="warning">{t("admin.usage.notWhole")}</Notice>}
      <div className="grid gap-4 lg:grid-cols-2">
        {drawn(t("admin.overview.costByModel"), ({ cost_usd }) => Number(cost_usd), formatMoney)}
        {drawn(t("admin.overview.tokensByModel"), ({ total_tokens }) => total_tokens, formatCompact)}
      </div>
    </>
  );
}
