import { lazy, Suspense, useState } from "react";
import { useTranslation } from "react-i18next";
import { formatDay } from "../lib/format";
import { Button } from "./button";
import { Loading } from "./notice";
import { Table } from "./table";

export interface Series {
  key: string;
  title: string;
  /** What should not be: it stands out. */
  bad?: boolean;
}

export type Point = Record<string, string | number | null>;

export interface ChartProps {
  title: string;
  kind: "bar" | "line";
  /** The field of a point that stands on the horizontal axis. */
  x: string;
  xTitle: string;
  series: Series[];
  points: Point[];
  format: (value: number) => string;
  /** What is counted comes in whole numbers, and so do the steps of the axis. */
  whole?: boolean;
  /** Bars of one point stand upon each other: their sum is what counts. */
  stacked?: boolean;
}

// Recharts is a third of all the code, and most people never open a dashboard.
const Drawing = lazy(() => import("./chart-drawing"));

/** A chart whose figures are a table as well, for whoever would rather read them or cannot see it. */
export function Chart(props: ChartProps) {
  const [asTable, setAsTable] = useState(false);
  const { t } = useTranslation();
  const { title, x, xTitle, series, points, format } = props;
  return (
    <section className="panel flex flex-col gap-3 p-4" aria-label={title}>
      <header className="flex items-center justify-between gap-3">
        <h2 className="font-medium">{title}</h2>
        <Button kind="quiet" small onClick={() => setAsTable(!asTable)}>
          {asTable ? t("common.showChart") : t("common.showTable")}
        </Button>
      </header>
      {points.length === 0 ? (
        <p className="py-8 text-center text-sm text-ink-soft">{t("common.noData")}</p>
      ) : asTable ? (
        <Table
          caption={title}
          rows={points}
          rowKey={(point) => String(point[x])}
          columns={[
            { key: x, title: xTitle, cell: (point) => formatDay(String(point[x])) },
            ...series.map((one) => ({
              key: one.key,
              title: one.title,
              numeric: true,
              cell: (point: Point) =>
                typeof point[one.key] === "number" ? format(point[one.key] as number) : "–",
            })),
          ]}
        />
      ) : (
        <Suspense fallback={<Loading />}>
          <Drawing {...props} />
        </Suspense>
      )}
    </section>
  );
}
