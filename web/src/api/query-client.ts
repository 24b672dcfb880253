import { QueryClient } from "@tanstack/react-query";
import { ApiError } from "./errors";

// Nobody looks at a page that says nothing for longer: beyond it the error and its wait are shown.
const PATIENCE_SECONDS = 10;
const FIRST_PAUSE_MS = 1000;

/** Reads are tried again where that can help; what was read is taken for true for half a minute. */
export function makeQueryClient(): QueryClient {
  return new QueryClient({
    // `always`: without a network a request fails and says so, in place of waiting unseen.
    defaultOptions: {
      queries: { staleTime: 30_000, retry: isWorthRetrying, retryDelay: pauseOf, networkMode: "always" },
      mutations: { networkMode: "always" },
    },
  });
}

/** Whether a read that failed `count` times before may go well soon. */
export function isWorthRetrying(count: number, error: unknown): boolean {
  if (count >= 2 || !(error instanceof ApiError)) return false;
  if (error.status === 429) return error.retryAfter !== null && error.retryAfter <= PATIENCE_SECONDS;
  return error.status === 0 || error.status >= 502;
}

/** Milliseconds: as long as the gateway asked for, where that is not too long. */
export function pauseOf(count: number, error: unknown): number {
  const asked = error instanceof ApiError ? error.retryAfter : null;
  return asked !== null && asked <= PATIENCE_SECONDS ? asked * 1000 : FIRST_PAUSE_MS * 2 ** count;
}
