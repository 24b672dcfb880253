/** The ledger's sums of a range, read whole. */
import { queryOptions } from "@tanstack/react-query";
import { call } from "../api/client";
import type { Days } from "./range";
import type { UsageSum, UsageSumPage } from "./types";

export interface Asked extends Days {
  model: string | null;
  user_id: string | null;
}

const PAGE = 1000;
/** More is for the file: a page of ten thousand rows is nobody's reading. */
const PAGES = 10;

/** `whole` is false where the range holds more than is read here. */
export function allSums(asked: Asked) {
  return queryOptions({
    queryKey: ["admin", "usage", "all", asked],
    queryFn: async ({ signal }) => {
      const rows: UsageSum[] = [];
      let cursor: string | null = null;
      for (let page = 0; page < PAGES; page += 1) {
        const read: UsageSumPage = await call<UsageSumPage>("/api/admin/usage", {
          query: { ...asked, cursor, limit: PAGE },
          signal,
        });
        rows.push(...read.items);
        cursor = read.next_cursor;
        if (cursor === null) break;
      }
      return { rows, whole: cursor === null };
    },
    staleTime: 60_000,
  });
}
