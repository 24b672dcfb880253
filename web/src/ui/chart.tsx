import { lazy, Suspense, useState } from "react";
import { useTranslation } from "react-i18next";
import { formatDay } from "../lib/format";
import { Button } from "./button";
import type { ChartProps, Point } from "./chart-props";
import { Loading } from "./loading";
import { Table } from "./table";

// Loaded on demand: Recharts is a third of all code, and only administrators see charts.
const ChartPlot = lazy(() => import("./chart-plot"));

/** A chart with a button that shows the same numbers as a table, which screen readers can read. */
export function Chart(props: ChartProps) {
  const [asTable, setAsTable] = useState(false);
  const { t } = useTranslation();
  const { title, xKey, xTitle, series, points, format } = props;
  return (
    <section className="panel flex flex-col gap-3 p-4" aria-label={title}>
      <header className="flex items-center justify-between gap-3">
        <h2 className="font-medium">{title}</h2>
        <Button variant="ghost" small onClick={() => setAsTable(!asTable)}>
          {asTable ? t("common.showChart") : t("common.showTable")}
        </Button>
      </header>
      {points.length === 0 ? (
        <p className="py-8 text-center text-sm text-ink-soft">{t("common.noData")}</p>
      ) : asTable ? (
        <Table
          caption={title}
          rows={points}
          rowKey={(point) => String(point[xKey])}
          columns={[
            { key: xKey, title: xTitle, cell: (point) => formatDay(String(point[xKey])) },
            ...series.map((item) => ({
              key: item.key,
              title: item.title,
              numeric: true,
              cell: (point: Point) =>
                typeof point[item.key] === "number" ? format(point[item.key] as number) : "–",
            })),
          ]}
        />
      ) : (
        <Suspense fallback={<Loading />}>
          <ChartPlot {...props} />
        </Suspense>
      )}
    </section>
  );
}
