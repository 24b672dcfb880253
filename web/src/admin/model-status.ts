/** The status of a model: the health that the gateway reports, combined with its circuit breakers. */
import type { AdminModel, Breaker, Stats } from "./types";

export type ModelHealth = "not_configured" | "circuit_open" | "half_open" | "down" | "degraded" | "up";

export interface ModelStatus {
  health: ModelHealth;
  /** Share of today's failed calls, between 0 and 1; null without calls. */
  errorRate: number | null;
  p95: number | null;
  /** When an open circuit breaker lets the next request through. */
  retryAt: string | null;
}

export function modelStatus(
  model: AdminModel,
  breakers: readonly Breaker[],
  today: Stats["by_model"],
): ModelStatus {
  const ownBreakers = breakers.filter(
    (breaker) => breaker.model === model.name && model.providers.includes(breaker.upstream),
  );
  const rows = today.filter((row) => row.model === model.name);
  const requests = rows.reduce((sum, row) => sum + row.requests, 0);
  const failed = rows.reduce((sum, row) => sum + row.error_rate * row.requests, 0);
  const errorRate = requests > 0 ? failed / requests : null;
  const p95 = rows.reduce<number | null>(
    (highest, { latency_ms: { p95 } }) => (p95 === null ? highest : Math.max(highest ?? 0, p95)),
    null,
  );
  // A model can have several providers: it is unavailable only if all their breakers are open.
  const open = ownBreakers.filter(({ state }) => state === "open");
  const allOpen = ownBreakers.length > 0 && open.length === ownBreakers.length;
  const retryAt = allOpen ? (open.map(({ retry_at }) => retry_at).find(Boolean) ?? null) : null;
  return { health: modelHealth(model, ownBreakers, allOpen), errorRate, p95, retryAt };
}

function modelHealth({ health }: AdminModel, breakers: readonly Breaker[], allOpen: boolean): ModelHealth {
  if (health === null) return "not_configured";
  if (allOpen) return "circuit_open";
  if (health === "down") return "down";
  return breakers.some(({ state }) => state === "half_open") ? "half_open" : health;
}
