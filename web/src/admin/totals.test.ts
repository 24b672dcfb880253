import { describe, expect, it } from "vitest";
import { totalsBy } from "./totals";
import type { UsageSum } from "./types";

function row(day: string, model: string, user_id: string | null, cost_usd: string): UsageSum {
  return { day, model, user_id, cost_usd, requests: 1, total_tokens: 10 } as UsageSum;
}

const ROWS = [
  row("2026-01-01", "small", "ann", "0.10"),
  row("2026-01-02", "large", "bob", "0.25"),
  row("2026-01-02", "small", "ann", "0.20"),
  row("2026-01-03", "small", null, "0.01"),
];

describe("sums of the ledger", () => {
  it("name who spent most first", () => {
    const totals = totalsBy("account", ROWS);
    expect(totals.map(({ key }) => key)).toEqual(["ann", "bob", ""]);
    expect(totals[0]).toMatchObject({ requests: 2, tokens: 20 });
    expect(totals[0]?.cost).toBeCloseTo(0.3);
  });

  it("are by model or in the order of days", () => {
    expect(totalsBy("model", ROWS).map(({ key }) => key)).toEqual(["small", "large"]);
    expect(totalsBy("day", ROWS).map(({ key }) => key)).toEqual(["2026-01-01", "2026-01-02", "2026-01-03"]);
  });
});
