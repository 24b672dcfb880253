export interface Series {
  key: string;
  title: string;
  /** Drawn in the error colour. */
  isError?: boolean;
}

export type Point = Record<string, string | number | null>;

export interface ChartProps {
  title: string;
  kind: "bar" | "line";
  /** The key of the points' values on the horizontal axis. */
  xKey: string;
  xTitle: string;
  series: Series[];
  points: Point[];
  format: (value: number) => string;
  /** The values are integers, and so are the ticks of the axis. */
  integers?: boolean;
  /** Stacks the bars of a point. */
  stacked?: boolean;
}
