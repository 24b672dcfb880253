/** One word for how a model does: the gateway's own judgement, and whether it is paused. */
import type { AdminModel, Breaker, Stats } from "./types";

export type ModelState = "unset" | "paused" | "down" | "testing" | "degraded" | "up";

export interface Standing {
  state: ModelState;
  /** Of today's calls, 0..1; null where there were none. */
  errorRate: number | null;
  p95: number | null;
  /** When a paused model is tried again. */
  retryAt: string | null;
}

/** `health` is of breakers, checks and the last calls together (`/api/admin/models`). */
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
  return { state: stateOf(model, own, paused), errorRate, p95, retryAt };
}

function stateOf({ health }: AdminModel, own: readonly Breaker[], paused: boolean): ModelState {
  if (health === null) return "unset";
  if (paused) return "paused";
  if (health === "down") return "down";
  return own.some(({ state }) => state === "half_open") ? "testing" : health;
}
