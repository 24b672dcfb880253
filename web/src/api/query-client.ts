import { QueryClient } from "@tanstack/react-query";
import { ApiError } from "./errors";

/** Reads are tried again where that can help; what was read is taken for true for half a minute. */
export function makeQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: 30_000,
        retry: (count, error) =>
          count < 2 && error instanceof ApiError && (error.status === 0 || error.status >= 502),
      },
    },
  });
}
