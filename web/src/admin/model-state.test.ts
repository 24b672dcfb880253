import { describe, expect, it } from "vitest";
import { standingOf } from "./model-state";
import type { AdminModel, Breaker, Stats } from "./types";

const MODEL = { name: "m", providers: ["a", "b"], health: "up" } as AdminModel;
const breaker = (upstream: string, state: Breaker["state"]) =>
  ({ upstream, model: "m", state, retry_at: state === "open" ? "2026-01-01T00:00:30Z" : null }) as Breaker;
const calls = (requests: number, error_rate: number) =>
  [
    { model: "m", provider: "a", requests, error_rate, latency_ms: { p50: 1, p95: 9, p99: 9 } },
  ] as Stats["by_model"];

describe("a model's state", () => {
  it("is what the gateway judges", () => {
    for (const health of ["up", "degraded", "down"] as const)
      expect(standingOf({ ...MODEL, health }, [], calls(10, 1)).state).toBe(health);
    expect(standingOf({ ...MODEL, health: null }, [], []).state).toBe("unset");
    expect(standingOf(MODEL, [breaker("a", "half_open"), breaker("b", "closed")], []).state).toBe("testing");
  });

  it("is paused where every provider of it is, and says until when", () => {
    const all = standingOf(MODEL, [breaker("a", "open"), breaker("b", "open")], calls(10, 1));
    expect(all).toMatchObject({ state: "paused", retryAt: "2026-01-01T00:00:30Z", errorRate: 1, p95: 9 });
    const one = standingOf(
      { ...MODEL, health: "degraded" },
      [breaker("a", "open"), breaker("b", "closed")],
      [],
    );
    expect(one).toMatchObject({ state: "degraded", retryAt: null, errorRate: null });
  });
});
