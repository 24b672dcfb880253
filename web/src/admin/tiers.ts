import { queryOptions } from "@tanstack/react-query";
import type { TFunction } from "i18next";
import { requestJson } from "../api/client";
import { formatBytes, formatCompact, formatMoney, formatNumber } from "../lib/format";
import type { Tier } from "./types";

/** The tiers of the configuration, with their limits. */
export const tiersQuery = queryOptions({
  queryKey: ["admin", "tiers"],
  queryFn: async ({ signal }) => (await requestJson<{ items: Tier[] }>("/api/admin/tiers", { signal })).items,
  staleTime: 60_000,
});

/** A tier's limits as one line of text. */
export function tierLimits(tier: Tier, t: TFunction): string {
  const {
    requests_per_minute: requests,
    tokens_per_day: tokens,
    usd_per_month: usd,
    storage_mb: storage,
  } = tier;
  const limits = [
    requests !== null && t("admin.users.requestsPerMinute", { limit: formatNumber(requests) }),
    tokens !== null && t("admin.users.tokensPerDay", { limit: formatCompact(tokens) }),
    usd !== null && t("admin.users.costPerMonth", { limit: formatMoney(usd) }),
    storage !== null && t("admin.users.storageLimit", { limit: formatBytes(storage * 1_000_000) }),
  ].filter(Boolean);
  return limits.join(", ") || t("admin.users.unlimited");
}
