/** Adds up usage rows by account, model or day; usage by API key is added up by the gateway. */
import type { UsageTotalsRow } from "./types";

export const USAGE_GROUPS = ["account", "key", "model", "day"] as const;
export type UsageGroup = Exclude<(typeof USAGE_GROUPS)[number], "key">;

export interface UsageTotal {
  key: string;
  /** A row of the group, for its account, model or day. */
  row: UsageTotalsRow;
  requests: number;
  tokens: number;
  cost: number;
}

/** The totals by `group`, the highest cost first; days are in chronological order. */
export function groupUsage(group: UsageGroup, rows: readonly UsageTotalsRow[]): UsageTotal[] {
  const totals = new Map<string, UsageTotal>();
  for (const row of rows) {
    const key = groupKey(group, row);
    const total = totals.get(key) ?? { key, row, requests: 0, tokens: 0, cost: 0 };
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

function groupKey(group: UsageGroup, row: UsageTotalsRow): string {
  if (group === "day") return row.day;
  return group === "model" ? row.model : (row.user_id ?? "");
}
