import { QueryClient } from "@tanstack/react-query";
import { ApiError } from "./errors";

/** A longer `Retry-After` is shown to the user instead of being waited for. */
const MAX_RETRY_AFTER_SECONDS = 10;
const MAX_RETRIES = 2;
const BASE_RETRY_DELAY_MS = 1000;
const STALE_TIME_MS = 30_000;

export function createQueryClient(): QueryClient {
  return new QueryClient({
    // `always`: without a network, requests fail with a message instead of pausing silently.
    defaultOptions: {
      queries: {
        staleTime: STALE_TIME_MS,
        retry: shouldRetry,
        retryDelay: retryDelayMs,
        networkMode: "always",
      },
      mutations: { networkMode: "always" },
    },
  });
}

/** Whether a query that has failed `failureCount` times before is retried. */
export function shouldRetry(failureCount: number, error: unknown): boolean {
  if (failureCount >= MAX_RETRIES || !(error instanceof ApiError)) return false;
  if (error.status === 429) return error.retryAfter !== null && error.retryAfter <= MAX_RETRY_AFTER_SECONDS;
  return error.status === 0 || error.status >= 502;
}

/** The gateway's `Retry-After` if it is short, else exponential backoff. */
export function retryDelayMs(failureCount: number, error: unknown): number {
  const retryAfter = error instanceof ApiError ? error.retryAfter : null;
  return retryAfter !== null && retryAfter <= MAX_RETRY_AFTER_SECONDS
    ? retryAfter * 1000
    : BASE_RETRY_DELAY_MS * 2 ** failureCount;
}
