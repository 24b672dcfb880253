import {
  Bar,
  BarChart,
  CartesianGrid,
  Legend,
  Line,
  LineChart,
  ResponsiveContainer,
  Tooltip,
  XAxis,
  YAxis,
} from "recharts";
import { formatDay } from "../lib/format";
import { axisTicks } from "./axis-ticks";
import type { ChartProps, Point, Series } from "./chart-props";

/** Colours of the series, in order; lines also differ in their dashes. */
const COLORS = [
  "var(--color-accent)",
  "var(--color-warning)",
  "var(--color-ink-soft)",
  "var(--series-4)",
  "var(--series-5)",
  "var(--series-6)",
];
const ERROR_COLOR = "var(--color-danger)";
const DASHES = ["", "6 3", "2 3"];
const TICK_STYLE = { fill: "var(--color-ink-soft)", fontSize: 12 };
const TOOLTIP_STYLE = {
  background: "var(--color-raised)",
  border: "1px solid var(--color-line)",
  borderRadius: 6,
  fontSize: 14,
  color: "var(--color-ink)",
};

export default function ChartPlot({ kind, xKey, series, points, format, integers, stacked }: ChartProps) {
  const RechartsChart = kind === "bar" ? BarChart : LineChart;
  const ticks = axisTicks(maxValue(points, series, stacked ?? false), integers ?? false);
  return (
    <div className="h-64" aria-hidden="true">
      <ResponsiveContainer width="100%" height="100%">
        <RechartsChart
          data={points}
          margin={{ top: 4, right: 4, bottom: 0, left: 0 }}
          accessibilityLayer={false}
        >
          <CartesianGrid vertical={false} stroke="var(--color-line)" />
          <XAxis
            dataKey={xKey}
            tick={TICK_STYLE}
            tickLine={false}
            axisLine={{ stroke: "var(--color-line)" }}
            minTickGap={24}
            tickFormatter={formatDay}
          />
          <YAxis
            tick={TICK_STYLE}
            tickLine={false}
            axisLine={false}
            width="auto"
            tickFormatter={format}
            ticks={ticks}
            domain={[0, ticks.at(-1) ?? 1]}
            interval={0}
          />
          <Tooltip
            contentStyle={TOOLTIP_STYLE}
            cursor={{ fill: "var(--color-hover)", stroke: "var(--color-line)" }}
            labelFormatter={(day) => formatDay(String(day))}
            formatter={(value) => (typeof value === "number" ? format(value) : String(value))}
          />
          {series.length > 1 && <Legend wrapperStyle={{ fontSize: 14 }} itemSorter={null} />}
          {series.map((item, index) =>
            kind === "bar"
              ? renderBar(item, index, stacked ?? false)
              : renderLine(item, index, points.length),
          )}
        </RechartsChart>
      </ResponsiveContainer>
    </div>
  );
}

/** The largest value, or the largest sum of a point if the series are stacked. */
function maxValue(points: readonly Point[], series: readonly Series[], stacked: boolean): number {
  const values = points.flatMap((point) => {
    const pointValues = series.map(({ key }) => Number(point[key] ?? 0));
    return stacked ? pointValues.reduce((sum, value) => sum + value, 0) : pointValues;
  });
  return Math.max(0, ...values);
}

// Functions instead of components: Recharts finds its bars and lines among the direct children.
function renderBar(item: Series, index: number, stacked: boolean) {
  return (
    <Bar
      key={item.key}
      dataKey={item.key}
      name={item.title}
      fill={colorOf(item, index)}
      {...(stacked && { stackId: "all" })}
      minPointSize={(value) => (value && !stacked ? 2 : 0)}
      maxBarSize={48}
      isAnimationActive={false}
    />
  );
}

function renderLine(item: Series, index: number, pointCount: number) {
  return (
    <Line
      key={item.key}
      dataKey={item.key}
      name={item.title}
      stroke={colorOf(item, index)}
      strokeDasharray={DASHES[index % DASHES.length] as string}
      strokeWidth={2}
      dot={pointCount < 3}
      isAnimationActive={false}
    />
  );
}

function colorOf({ isError }: Series, index: number): string {
  return isError ? ERROR_COLOR : (COLORS[index % COLORS.length] as string);
}
