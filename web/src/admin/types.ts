/** Short names for the OpenAPI schemas of the administration pages. */
import type { components } from "../api/schema";

type Schemas = components["schemas"];

export type Stats = Schemas["StatsView"];
export type SlowCall = Schemas["SlowCallView"];
export type SlowCallList = Schemas["SlowCallList"];
export type BreakerHistory = Schemas["BreakerHistory"];
export type LiveMetrics = Schemas["MetricsView"];
export type AdminUser = Schemas["UserWithUsage"];
export type AdminUserPage = Schemas["UserPage"];
export type BreakerList = Schemas["AdminCircuitBreakerList"];
export type Breaker = Schemas["AdminCircuitBreakerView"];
export type AdminModel = Schemas["AdminModelView"];
export type Tier = Schemas["TierView"];
export type ReloadResult = Schemas["ReloadView"];
export type AuditEntry = Schemas["AuditView"];
export type AuditPage = Schemas["AuditPage"];
export type ModelCall = Schemas["UsageRowView"];
export interface ModelCallPage {
  items: ModelCall[];
  next_cursor: string | null;
}
export type KeyUsage = Schemas["KeyUsageView"];
export type KeyUsageList = Schemas["KeyUsageList"];
export type UsageTotalsRow = Schemas["UsageSumView"];
export interface UsageTotalsPage {
  items: UsageTotalsRow[];
  next_cursor: string | null;
}
