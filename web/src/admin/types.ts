/** Names for the bodies that administrators read. */
import type { components } from "../api/schema";

type Schemas = components["schemas"];

export type Stats = Schemas["StatsView"];
export type SlowCall = Schemas["SlowCallView"];
export type SlowCalls = Schemas["SlowCallList"];
export type BreakerHistory = Schemas["BreakerHistory"];
export type Metrics = Schemas["MetricsView"];
export type Account = Schemas["UserWithUsage"];
export type AccountPage = Schemas["UserPage"];
export type Breakers = Schemas["AdminCircuitBreakerList"];
export type Breaker = Schemas["AdminCircuitBreakerView"];
export type AdminModel = Schemas["AdminModelView"];
export type Tier = Schemas["TierView"];
export type Reloaded = Schemas["ReloadView"];
export type AuditEntry = Schemas["AuditView"];
export type AuditPage = Schemas["AuditPage"];
export type Call = Schemas["UsageRowView"];
export interface CallPage {
  items: Call[];
  next_cursor: string | null;
}
export type KeyUsage = Schemas["KeyUsageView"];
export type KeyUsages = Schemas["KeyUsageList"];
export type UsageSum = Schemas["UsageSumView"];
export interface UsageSumPage {
  items: UsageSum[];
  next_cursor: string | null;
}
