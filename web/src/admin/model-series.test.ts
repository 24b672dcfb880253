import { expect, test } from "vitest";
import { daysBetween } from "./date-range";
import { OTHER_MODELS, seriesByModel } from "./model-series";
import type { UsageTotalsRow } from "./types";

function row(day: string, model: string, cost: string): UsageTotalsRow {
  return { day, model, user_id: null, email: null, cost_usd: cost } as UsageTotalsRow;
}

test("models are ranked by their total, and days without usage have zeros", () => {
  const rows = [
    row("2026-01-01", "small", "0.1"),
    row("2026-01-01", "small", "0.2"),
    row("2026-01-03", "large", "2"),
    row("2026-01-03", "free", "0"),
  ];
  const { models, points } = seriesByModel(rows, daysBetween("2026-01-01", "2026-01-03"), ({ cost_usd }) =>
    Number(cost_usd),
  );
  expect(models).toEqual(["large", "small"]);
  expect(points).toEqual([
    { day: "2026-01-01", 0: 0, 1: expect.closeTo(0.3) },
    { day: "2026-01-02", 0: 0, 1: 0 },
    { day: "2026-01-03", 0: 2, 1: 0 },
  ]);
});

test("all models after the fifth share a series", () => {
  const rows = [9, 8, 7, 6, 5, 4, 3].map((cost) => row("2026-01-01", `m${cost}`, String(cost)));
  const { models, points } = seriesByModel(rows, ["2026-01-01"], ({ cost_usd }) => Number(cost_usd));
  expect(models).toEqual(["m9", "m8", "m7", "m6", "m5", OTHER_MODELS]);
  expect(points).toEqual([{ day: "2026-01-01", 0: 9, 1: 8, 2: 7, 3: 6, 4: 5, 5: 7 }]);
});
