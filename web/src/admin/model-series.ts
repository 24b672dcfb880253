/** The ledger's sums as one series for each model. */
import type { UsageSum } from "./types";

/** Models with a series of their own; the others are one series together. */
const MOST = 5;
export const OTHERS = "others";

export interface ModelSeries {
  /** The models by their sum, the largest first; `OTHERS` is last, where there are others. */
  models: string[];
  /** A point for each day: `day`, and the models' values by their place in `models`. */
  points: Record<string, string | number>[];
}

/** What each model took on each day; days without usage have zeros. */
export function seriesByModel(
  rows: readonly UsageSum[],
  days: readonly string[],
  amountOf: (row: UsageSum) => number,
): ModelSeries {
  const totals = new Map<string, number>();
  for (const row of rows) totals.set(row.model, (totals.get(row.model) ?? 0) + amountOf(row));
  const ranked = [...totals].filter(([, total]) => total > 0).toSorted(([, a], [, b]) => b - a);
  const first = ranked.slice(0, MOST).map(([model]) => model);
  const models = ranked.length > MOST ? [...first, OTHERS] : first;
  const empty = Object.fromEntries(models.map((_, place) => [place, 0]));
  const points = new Map<string, Record<string, string | number>>(
    days.map((day) => [day, { day, ...empty }]),
  );
  for (const row of rows) {
    const point = points.get(row.day);
    const place = first.includes(row.model) ? first.indexOf(row.model) : MOST;
    if (point && place in point) point[place] = Number(point[place]) + amountOf(row);
  }
  return { models, points: [...points.values()] };
}

/** Every day from the first to the last, as `YYYY-MM-DD`. */
export function daysBetween(from: string, to: string): string[] {
  const days: string[] = [];
  const last = Date.parse(`${to}T00:00:00Z`);
  for (let at = Date.parse(`${from}T00:00:00Z`); at <= last && days.length < 400; at += 86_400_000)
    days.push(new Date(at).toISOString().slice(0, 10));
  return days;
}
