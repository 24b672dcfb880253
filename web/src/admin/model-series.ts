/** Usage rows as chart series, one per model. */
import type { UsageTotalsRow } from "./types";

/** The number of models with a series of their own; the others share one. */
const MAX_SERIES = 5;
export const OTHER_MODELS = "others";

export interface ModelSeries {
  /** The models, the largest total first; `OTHER_MODELS` is last, if there are others. */
  models: string[];
  /** One point per day: `day`, and the values by the models' index in `models`. */
  points: Record<string, string | number>[];
}

/** The amount by model and day; days without usage have zeros. */
export function seriesByModel(
  rows: readonly UsageTotalsRow[],
  days: readonly string[],
  amountOf: (row: UsageTotalsRow) => number,
): ModelSeries {
  const totals = new Map<string, number>();
  for (const row of rows) totals.set(row.model, (totals.get(row.model) ?? 0) + amountOf(row));
  const ranked = [...totals].filter(([, total]) => total > 0).toSorted(([, a], [, b]) => b - a);
  const topModels = ranked.slice(0, MAX_SERIES).map(([model]) => model);
  const models = ranked.length > MAX_SERIES ? [...topModels, OTHER_MODELS] : topModels;
  const zeros = Object.fromEntries(models.map((_, index) => [index, 0]));
  const points = new Map<string, Record<string, string | number>>(
    days.map((day) => [day, { day, ...zeros }]),
  );
  for (const row of rows) {
    const point = points.get(row.day);
    const index = topModels.includes(row.model) ? topModels.indexOf(row.model) : MAX_SERIES;
    if (point && index in point) point[index] = Number(point[index]) + amountOf(row);
  }
  return { models, points: [...points.values()] };
}
