import { describe, expect, it } from "vitest";
import type { UsageTotalsRow } from "./types";
import { groupUsage } from "./usage-totals";

function row(day: string, model: string, user_id: string | null, cost_usd: string): UsageTotalsRow {
  return { day, model, user_id, cost_usd, requests: 1, total_tokens: 10 } as UsageTotalsRow;
}

const ROWS = [
  row("2026-01-01", "small", "ann", "0.10"),
  row("2026-01-02", "large", "bob", "0.25"),
  row("2026-01-02", "small", "ann", "0.20"),
  row("2026-01-03", "small", null, "0.01"),
];

describe("groupUsage", () => {
  it("sorts accounts by cost", () => {
    const totals = groupUsage("account", ROWS);
    expect(totals.map(({ key }) => key)).toEqual(["ann", "bob", ""]);
    expect(totals[0]).toMatchObject({ requests: 2, tokens: 20 });
    expect(totals[0]?.cost).toBeCloseTo(0.3);
  });

  it("groups by model, or by day in chronological order", () => {
    expect(groupUsage("model", ROWS).map(({ key }) => key)).toEqual(["small", "large"]);
    expect(groupUsage("day", ROWS).map(({ key }) => key)).toEqual(["2026-01-01", "2026-01-02", "2026-01-03"]);
  });
});
