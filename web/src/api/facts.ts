import { queryOptions } from "@tanstack/react-query";
import { callPublic } from "./client";

/** What anybody may know of the gateway (`GET /api/console`). */
export interface GatewayFacts {
  version: string;
  sign_up_open: boolean;
}

export const gatewayFacts = queryOptions({
  queryKey: ["console"],
  queryFn: ({ signal }) => callPublic<GatewayFacts>("/api/console", { signal }),
  staleTime: Number.POSITIVE_INFINITY,
});
