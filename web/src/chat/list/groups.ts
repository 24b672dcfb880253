import type { Conversation } from "../../api/types";

export type GroupName = "today" | "yesterday" | "week" | "month" | "older";

export interface Group {
  name: GroupName;
  items: Conversation[];
}

const DAY_MS = 86_400_000;

/** Conversations by how long ago they changed, in the reader's own days; the order within stays. */
export function grouped(items: readonly Conversation[], now: Date): Group[] {
  const groups: Group[] = [];
  for (const item of items) {
    const name = groupOf(new Date(item.updated_at), now);
    const last = groups.at(-1);
    if (last?.name === name) last.items.push(item);
    else groups.push({ name, items: [item] });
  }
  return groups;
}

function groupOf(when: Date, now: Date): GroupName {
  // Noon to noon: a day on which clocks are changed has 23 or 25 hours.
  const days = Math.round((noon(now) - noon(when)) / DAY_MS);
  if (days <= 0) return "today";
  if (days === 1) return "yesterday";
  if (days <= 7) return "week";
  return days <= 30 ? "month" : "older";
}

function noon(when: Date): number {
  return new Date(when.getFullYear(), when.getMonth(), when.getDate(), 12).getTime();
}
