import type { Conversation } from "../../api/types";

export type DateGroupName = "today" | "yesterday" | "week" | "month" | "older";

export interface DateGroup {
  name: DateGroupName;
  items: Conversation[];
}

const DAY_MS = 86_400_000;

/** Groups conversations by the date of their last change in local time; keeps their order. */
export function groupByDate(items: readonly Conversation[], now: Date): DateGroup[] {
  const groups: DateGroup[] = [];
  for (const item of items) {
    const name = dateGroup(new Date(item.updated_at), now);
    const last = groups.at(-1);
    if (last?.name === name) last.items.push(item);
    else groups.push({ name, items: [item] });
  }
  return groups;
}

function dateGroup(date: Date, now: Date): DateGroupName {
  // Compare noons: a day with a clock change has 23 or 25 hours.
  const days = Math.round((noon(now) - noon(date)) / DAY_MS);
  if (days <= 0) return "today";
  if (days === 1) return "yesterday";
  if (days <= 7) return "week";
  return days <= 30 ? "month" : "older";
}

function noon(date: Date): number {
  return new Date(date.getFullYear(), date.getMonth(), date.getDate(), 12).getTime();
}
