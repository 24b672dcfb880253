import { describe, expect, it } from "vitest";
import { modelStatus } from "./model-status";
import type { AdminModel, Breaker, Stats } from "./types";

const MODEL = { name: "m", providers: ["a", "b"], health: "up" } as AdminModel;
const breaker = (upstream: string, state: Breaker["state"]) =>
  ({ upstream, model: "m", state, retry_at: state === "open" ? "2026-01-01T00:00:30Z" : null }) as Breaker;
const stats = (requests: number, error_rate: number) =>
  [
    { model: "m", provider: "a", requests, error_rate, latency_ms: { p50: 1, p95: 9, p99: 9 } },
  ] as Stats["by_model"];

describe("modelStatus", () => {
  it("reports the gateway's health", () => {
    for (const health of ["up", "degraded", "down"] as const)
      expect(modelStatus({ ...MODEL, health }, [], stats(10, 1)).health).toBe(health);
    expect(modelStatus({ ...MODEL, health: null }, [], []).health).toBe("not_configured");
    expect(modelStatus(MODEL, [breaker("a", "half_open"), breaker("b", "closed")], []).health).toBe(
      "half_open",
    );
  });

  it("reports an open circuit and its retry time only if all providers' breakers are open", () => {
    const all = modelStatus(MODEL, [breaker("a", "open"), breaker("b", "open")], stats(10, 1));
    expect(all).toMatchObject({
      health: "circuit_open",
      retryAt: "2026-01-01T00:00:30Z",
      errorRate: 1,
      p95: 9,
    });
    const one = modelStatus(
      { ...MODEL, health: "degraded" },
      [breaker("a", "open"), breaker("b", "closed")],
      [],
    );
    expect(one).toMatchObject({ health: "degraded", retryAt: null, errorRate: null });
  });
});
