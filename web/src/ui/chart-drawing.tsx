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
import type { ChartProps, Series } from "./chart";
import { stepsTo } from "./steps-to";

// One accent; further series differ in lightness and, as lines, in their dashes.
const COLORS = [
  "var(--color-accent)",
  "var(--color-warning)",
  "var(--color-ink-soft)",
  "var(--series-4)",
  "var(--series-5)",
  "var(--series-6)",
];
const BAD = "var(--color-danger)";
const DASHES = ["", "6 3", "2 3"];
const TICK = { fill: "var(--color-ink-soft)", fontSize: 12 };
const BOX = {
  background: "var(--color-raised)",
  border: "1px solid var(--color-line)",
  borderRadius: 6,
  fontSize: 14,
  color: "var(--color-ink)",
};

export default function ChartDrawing({ kind, x, series, points, format, whole, stacked }: ChartProps) {
  const Whole = kind === "bar" ? BarChart : LineChart;
  const steps = stepsTo(
    Math.max(
      0,
      ...points.flatMap((point) => {
        const values = series.map(({ key }) => Number(point[key] ?? 0));
        return stacked ? values.reduce((sum, value) => sum + value, 0) : values;
      }),
    ),
    whole ?? false,
  );
  return (
    <div className="h-64" aria-hidden="true">
      <ResponsiveContainer width="100%" height="100%">
        <Whole data={points} margin={{ top: 4, right: 4, bottom: 0, left: 0 }} accessibilityLayer={false}>
          <CartesianGrid vertical={false} stroke="var(--color-line)" />
          <XAxis
            dataKey={x}
            tick={TICK}
            tickLine={false}
            axisLine={{ stroke: "var(--color-line)" }}
            minTickGap={24}
            tickFormatter={formatDay}
          />
          <YAxis
            tick={TICK}
            tickLine={false}
            axisLine={false}
            width="auto"
            tickFormatter={format}
            ticks={steps}
            domain={[0, steps.at(-1) ?? 1]}
            interval={0}
          />
          <Tooltip
            contentStyle={BOX}
            cursor={{ fill: "var(--color-hover)", stroke: "var(--color-line)" }}
            labelFormatter={(day) => formatDay(String(day))}
            formatter={(value) => (typeof value === "number" ? format(value) : String(value))}
          />
          {series.length > 1 && <Legend wrapperStyle={{ fontSize: 14 }} itemSorter={null} />}
          {series.map((one, index) =>
            kind === "bar" ? (
              <Bar
                key={one.key}
                dataKey={one.key}
                name={one.title}
                fill={colorOf(one, index)}
                {...(stacked && { stackId: "all" })}
                minPointSize={(value) => (value && !stacked ? 2 : 0)}
                maxBarSize={48}
                isAnimationActive={false}
              />
            ) : (
              <Line
                key={one.key}
                dataKey={one.key}
                name={one.title}
                stroke={colorOf(one, index)}
                strokeDasharray={DASHES[index % DASHES.length] as string}
                strokeWidth={2}
                dot={points.length < 3}
                isAnimationActive={false}
              />
            ),
          )}
        </Whole>
      </ResponsiveContainer>
    </div>
  );
}

function colorOf({ bad }: Series, index: number): string {
  return bad ? BAD : (COLORS[index % COLORS.length] as string);
}
