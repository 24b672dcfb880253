/** Sums of the ledger added up by account, model or day; those by key are added up by the gateway. */
import type { UsageSum } from "./types";

export const GROUPS = ["account", "key", "model", "day"] as const;
export type Group = Exclude<(typeof GROUPS)[number], "key">;

export interface Total {
  key: string;
  /** A row of the group: it names the account, the model or the day. */
  of: UsageSum;
  requests: number;
  tokens: number;
  cost: number;
}

/** The sums by `group`, the dearest first; days in their order. */
export function totalsBy(group: Group, rows: readonly UsageSum[]): Total[] {
  const totals = new Map<string, Total>();
  for (const row of rows) {
    const key = keyOf(group, row);
    const total = totals.get(key) ?? { key, of: row, requests: 0, tokens: 0, cost: 0 };
    totals.set(key, {
      ...total,
      requests: total.requests + row.requests,
      tokens: total.tokens + row.total_tokens,
      cost: total.cost + Number(row.cost_usd),
    });
  }
  const all = [...totals.values()];
  return group === "day"
    ? all.toSorted((a, b) => (a.key < b.key ? -1 : 1))
    : all.toSorted((a, b) => b.cost - a.cost || b.tokens - a.tokens);
}

function keyOf(group: Group, row: UsageSum): string {
  if (group === "day") return row.day;
  return group === "model" ? row.model : (row.user_id ?? "");
}
