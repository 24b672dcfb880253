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
import type { ChartProps } from "./chart";

// One accent; further series differ in lightness and, as lines, in their dashes.
const COLORS = [
  "var(--color-accent)",
  "var(--color-line-strong)",
  "var(--color-warning)",
  "var(--color-danger)",
];
const DASHES = ["", "6 3", "2 3", "8 3 2 3"];
const TICK = { fill: "var(--color-ink-soft)", fontSize: 12 };
const BOX = {
  background: "var(--color-raised)",
  border: "1px solid var(--color-line)",
  borderRadius: 6,
  fontSize: 14,
  color: "var(--color-ink)",
};

export default function ChartDrawing({ kind, x, series, points, format, whole }: ChartProps) {
  const Whole = kind === "bar" ? BarChart : LineChart;
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
          />
          <YAxis
            tick={TICK}
            tickLine={false}
            axisLine={false}
            width="auto"
            tickFormatter={format}
            allowDecimals={!whole}
          />
          <Tooltip
            contentStyle={BOX}
            cursor={{ fill: "var(--color-hover)", stroke: "var(--color-line)" }}
            formatter={(value) => (typeof value === "number" ? format(value) : String(value))}
          />
          {series.length > 1 && <Legend wrapperStyle={{ fontSize: 14 }} />}
          {series.map((one, index) =>
            kind === "bar" ? (
              <Bar
                key={one.key}
                dataKey={one.key}
                name={one.title}
                fill={COLORS[index % COLORS.length] as string}
                isAnimationActive={false}
              />
            ) : (
              <Line
                key={one.key}
                dataKey={one.key}
                name={one.title}
                stroke={COLORS[index % COLORS.length] as string}
                strokeDasharray={DASHES[index % DASHES.length] as string}
                strokeWidth={2}
                dot={false}
                isAnimationActive={false}
              />
            ),
          )}
        </Whole>
      </ResponsiveContainer>
    </div>
  );
}
