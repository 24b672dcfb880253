import { expect, test } from "vitest";
import { daysBetween, OTHERS, seriesByModel } from "./model-series";
import type { UsageSum } from "./types";

function row(day: string, model: string, cost: string): UsageSum {
  return { day, model, user_id: null, email: null, cost_usd: cost } as UsageSum;
}

test("models are ranked by their sum, and days without usage have zeros", () => {
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

test("from the sixth on, models are one series", () => {
  const rows = [9, 8, 7, 6, 5, 4, 3].map((cost) => row("2026-01-01", `m${cost}`, String(cost)));
  const { models, points } = seriesByModel(rows, ["2026-01-01"], ({ cost_usd }) => Number(cost_usd));
  expect(models).toEqual(["m9", "m8", "m7", "m6", "m5", OTHERS]);
  expect(points).toEqual([{ day: "2026-01-01", 0: 9, 1: 8, 2: 7, 3: 6, 4: 5, 5: 7 }]);
});

test("days go over a month's end, and a range the wrong way round has none", () => {
  expect(daysBetween("2026-02-27", "2026-03-01")).toEqual(["2026-02-27", "2026-02-28", "2026-03-01"]);
  expect(daysBetween("2026-03-01", "2026-02-27")).toEqual([]);
  expect(daysBetween("nonsense", "2026-02-27")).toEqual([]);
});
