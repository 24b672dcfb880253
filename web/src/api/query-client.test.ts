import { expect, test } from "vitest";
import { ApiError } from "./errors";
import { isWorthRetrying, pauseOf } from "./query-client";

const limited = (retryAfter: number | null) => new ApiError(429, "rate_limited", "", { retryAfter });

test("a read that came too soon is made again when the gateway says", () => {
  expect(isWorthRetrying(0, limited(3))).toBe(true);
  expect(pauseOf(0, limited(3))).toBe(3000);
});

test("a long wait is shown, not waited for", () => {
  expect(isWorthRetrying(0, limited(40))).toBe(false);
  expect(isWorthRetrying(0, limited(null))).toBe(false);
});

test("a gateway that is away is asked twice more, with longer pauses", () => {
  const away = new ApiError(0, "unreachable", "");
  expect([0, 1, 2].map((count) => isWorthRetrying(count, away))).toEqual([true, true, false]);
  expect([0, 1].map((count) => pauseOf(count, away))).toEqual([1000, 2000]);
});

test("what was refused for good is not asked again", () => {
  expect(isWorthRetrying(0, new ApiError(403, "permission_denied", ""))).toBe(false);
  expect(isWorthRetrying(0, new Error("ours"))).toBe(false);
});
