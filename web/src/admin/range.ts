/** The days that figures are of, as they stand in the page's address: they can be shared and gone back to. */
import { useSearchParams } from "react-router";

export interface Days {
  from: string;
  to: string;
  tz: string;
}

export const LENGTHS = [1, 7, 30, 90] as const;
const DEFAULT_LENGTH = 7;
const DAY = 86_400_000;

/** `YYYY-MM-DD` of a moment in a zone. */
export function dayIn(zone: string, moment: Date): string {
  return new Intl.DateTimeFormat("sv-SE", { timeZone: zone, dateStyle: "short" }).format(moment);
}

/** The last `length` days of a zone, today among them. */
export function lastDays(length: number, zone: string, now = new Date()): Days {
  const start = new Date(now.getTime() - (length - 1) * DAY);
  const known = safeZone(zone);
  return { from: dayIn(known, start), to: dayIn(known, now), tz: known };
}

/** The first and the present day of this month, UTC: the month that budgets are of. */
export function thisMonth(now = new Date()): Days {
  const today = dayIn("UTC", now);
  return { from: `${today.slice(0, 8)}01`, to: today, tz: "UTC" };
}

export function ownZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
}

/** Every zone that the browser knows, UTC first. */
export function zones(): string[] {
  return ["UTC", ...Intl.supportedValuesOf("timeZone").filter((zone) => zone !== "UTC")];
}

export function useDays(): [Days, (days: Days) => void] {
  const [params, setParams] = useSearchParams();
  const tz = params.get("tz") ?? ownZone();
  const fallback = lastDays(DEFAULT_LENGTH, tz);
  const days = { from: params.get("from") ?? fallback.from, to: params.get("to") ?? fallback.to, tz };
  const choose = (next: Days) => setParams({ ...next }, { replace: true });
  return [days, choose];
}

/** The zone, or UTC where the address holds one that there is not; the server then says what is wrong. */
export function safeZone(zone: string): string {
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
    return zone;
  } catch {
    return "UTC";
  }
}
