/** The usage of a date range, one row per day, account and model. */
import { queryOptions } from "@tanstack/react-query";
import { requestJson } from "../api/client";
import type { DateRange } from "./date-range";
import type { UsageTotalsPage, UsageTotalsRow } from "./types";

export interface UsageFilter extends DateRange {
  model: string | null;
  user_id: string | null;
}

const PAGE_SIZE = 1000;
/** Larger results are available as a CSV file. */
const MAX_PAGES = 10;

/** `complete` is false if the range has more rows than were read. */
export function usageRowsQuery(filter: UsageFilter) {
  return queryOptions({
    queryKey: ["admin", "usage", "all", filter],
    queryFn: async ({ signal }) => {
      const rows: UsageTotalsRow[] = [];
      let cursor: string | null = null;
      for (let page = 0; page < MAX_PAGES; page += 1) {
        const response: UsageTotalsPage = await requestJson<UsageTotalsPage>("/api/admin/usage", {
          query: { ...filter, cursor, limit: PAGE_SIZE },
          signal,
        });
        rows.push(...response.items);
        cursor = response.next_cursor;
        if (cursor === null) break;
      }
      return { rows, complete: cursor === null };
    },
    staleTime: 60_000,
  });
}
