/** The date range of a page, stored in its URL so that it can be shared and is part of the history. */
import { useSearchParams } from "react-router";

export interface DateRange {
  from: string;
  to: string;
  tz: string;
}

/** Lengths of the preset ranges, in days. */
export const PRESET_DAYS = [1, 7, 30, 90] as const;
const DEFAULT_DAYS = 7;
const DAY_MS = 86_400_000;

/** The day in a time zone, as `YYYY-MM-DD`. */
export function dayInZone(timeZone: string, moment: Date): string {
  return new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short" }).format(moment);
}

/** The last `count` days in a time zone, including today. */
export function lastDays(count: number, timeZone: string, now = new Date()): DateRange {
  const start = new Date(now.getTime() - (count - 1) * DAY_MS);
  const tz = validTimeZone(timeZone);
  return { from: dayInZone(tz, start), to: dayInZone(tz, now), tz };
}

/** The current month until today in UTC, as for budgets. */
export function thisMonth(now = new Date()): DateRange {
  const today = dayInZone("UTC", now);
  return { from: `${today.slice(0, 8)}01`, to: today, tz: "UTC" };
}

/** Every day of a range as `YYYY-MM-DD`; empty if `from` is after `to`. */
export function daysBetween(from: string, to: string): string[] {
  const days: string[] = [];
  const last = Date.parse(`${to}T00:00:00Z`);
  for (let time = Date.parse(`${from}T00:00:00Z`); time <= last && days.length < 400; time += DAY_MS)
    days.push(new Date(time).toISOString().slice(0, 10));
  return days;
}

export function browserTimeZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
}

/** All time zones that the browser knows, UTC first. */
export function timeZones(): string[] {
  return ["UTC", ...Intl.supportedValuesOf("timeZone").filter((zone) => zone !== "UTC")];
}

export function useDateRange(): [DateRange, (range: DateRange) => void] {
  const [params, setParams] = useSearchParams();
  const tz = params.get("tz") ?? browserTimeZone();
  const fallback = lastDays(DEFAULT_DAYS, tz);
  const range = { from: params.get("from") ?? fallback.from, to: params.get("to") ?? fallback.to, tz };
  const setRange = (next: DateRange) => setParams({ ...next }, { replace: true });
  return [range, setRange];
}

/** The time zone, or UTC if it does not exist; the API then reports the error. */
function validTimeZone(timeZone: string): string {
  try {
    new Intl.DateTimeFormat("en", { timeZone });
    return timeZone;
  } catch {
    return "UTC";
  }
}
