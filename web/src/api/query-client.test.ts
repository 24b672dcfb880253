import { expect, test } from "vitest";
import { ApiError } from "./errors";
import { retryDelayMs, shouldRetry } from "./query-client";

const rateLimited = (retryAfter: number | null) => new ApiError(429, "rate_limited", "", { retryAfter });

test("a rate-limited query is retried after a short Retry-After", () => {
  expect(shouldRetry(0, rateLimited(3))).toBe(true);
  expect(retryDelayMs(0, rateLimited(3))).toBe(3000);
});

test("a rate-limited query is not retried without a short Retry-After", () => {
  expect(shouldRetry(0, rateLimited(40))).toBe(false);
  expect(shouldRetry(0, rateLimited(null))).toBe(false);
});

test("an unreachable gateway is retried twice with exponential backoff", () => {
  const unreachable = new ApiError(0, "unreachable", "");
  expect([0, 1, 2].map((count) => shouldRetry(count, unreachable))).toEqual([true, true, false]);
  expect([0, 1].map((count) => retryDelayMs(count, unreachable))).toEqual([1000, 2000]);
});

test("permanent errors are not retried", () => {
  expect(shouldRetry(0, new ApiError(403, "permission_denied", ""))).toBe(false);
  expect(shouldRetry(0, new Error("internal"))).toBe(false);
});
