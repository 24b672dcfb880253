import { queryOptions } from "@tanstack/react-query";
import { requestPublicJson } from "./client";

/** Public facts about the gateway (`GET /api/console`). */
export interface GatewayInfo {
  version: string;
  sign_up_open: boolean;
}

export const gatewayInfoQuery = queryOptions({
  queryKey: ["console"],
  queryFn: ({ signal }) => requestPublicJson<GatewayInfo>("/api/console", { signal }),
  staleTime: Number.POSITIVE_INFINITY,
});
