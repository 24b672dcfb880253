/** One word for how a model does: from its breakers, its last check and today's calls. */
import type { AdminModel, Breaker, Stats } from "./types";

export type ModelState =
  | "unset"
  | "paused"
  | "down"
  | "failing"
  | "degraded"
  | "testing"
  | "up"
  | "unchecked";

export interface Standing {
  state: ModelState;
  /** Of today's calls, 0..1; null where there were none. */
  errorRate: number | null;
  p95: number | null;
  /** When a paused model is tried again. */
  retryAt: string | null;
}

const FAILING = 0.5;
const DEGRADED = 0.05;

/** The worst that is known counts: a model that fails is not up because its provider answers a check. */
export function standingOf(
  model: AdminModel,
  breakers: readonly Breaker[],
  today: Stats["by_model"],
): Standing {
  const own = breakers.filter((one) => one.model === model.name && model.providers.includes(one.upstream));
  const rows = today.filter((row) => row.model === model.name);
  const requests = rows.reduce((sum, row) => sum + row.requests, 0);
  const failed = rows.reduce((sum, row) => sum + row.error_rate * row.requests, 0);
  const errorRate = requests > 0 ? failed / requests : null;
  const p95 = rows.reduce<number | null>(
    (most, { latency_ms: { p95 } }) => (p95 === null ? most : Math.max(most ?? 0, p95)),
    null,
  );
  // Several providers may answer for a model: it is paused where all of them are.
  const open = own.filter(({ state }) => state === "open");
  const paused = own.length > 0 && open.length === own.length;
  const retryAt = paused ? (open.map(({ retry_at }) => retry_at).find(Boolean) ?? null) : null;
  return { state: stateOf(model, own, paused, errorRate), errorRate, p95, retryAt };
}

function stateOf(
  { configured, reachable }: AdminModel,
  own: readonly Breaker[],
  paused: boolean,
  errorRate: number | null,
): ModelState {
  if (!configured) return "unset";
  if (paused) return "paused";
  if (reachable === false) return "down";
  if (errorRate !== null && errorRate >= FAILING) return "failing";
  if (own.some(({ state }) => state === "half_open")) return "testing";
  if (own.some(({ state }) => state === "open") || (errorRate !== null && errorRate >= DEGRADED))
    return "degraded";
  return reachable === null ? "unchecked" : "up";
}
