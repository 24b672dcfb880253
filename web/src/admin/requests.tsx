import { keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useSearchParams } from "react-router";
import { requestJson } from "../api/client";
import { useDebouncedValue } from "../lib/use-debounced-value";
import { EmptyState } from "../ui/empty-state";
import { ErrorNotice } from "../ui/error-notice";
import { SelectField, TextField } from "../ui/field";
import { Loading } from "../ui/loading";
import { Page } from "../ui/page";
import { ShowMoreButton } from "../ui/show-more-button";
import { CallsTable } from "./calls-table";
import { type DateRange, lastDays, useDateRange } from "./date-range";
import { DateRangePicker } from "./date-range-picker";
import { RequestDialog } from "./request-dialog";
import type { AdminUserPage, ModelCall, ModelCallPage } from "./types";

const FILTERS = ["outcome", "account", "model", "request_id"] as const;
type Filters = Record<(typeof FILTERS)[number], string>;

/** Outcomes that can be filtered by; `failed` matches every error. */
const OUTCOMES = [
  "failed",
  "ok",
  "cancelled",
  "upstream_failed",
  "upstream_timeout",
  "upstream_rejected",
  "upstream_rate_limited",
  "circuit_open",
] as const;

/** How far back to search for a request id. */
const SEARCH_DAYS = 90;

/** All model calls with their outcome, the newest first. */
export function RequestsPage() {
  const { t } = useTranslation();
  const [range, setRange] = useDateRange();
  const [params, setParams] = useSearchParams();
  const filters = Object.fromEntries(FILTERS.map((name) => [name, params.get(name) ?? ""])) as Filters;
  const changeFilter = (name: keyof Filters, value: string) => {
    const next = new URLSearchParams(params);
    if (value) next.set(name, value);
    else next.delete(name);
    setParams(next, { replace: true });
  };
  return (
    <Page title={t("admin.nav.requests")} wide>
      <DateRangePicker
        range={range}
        onChange={(next) => {
          const activeFilters = Object.entries(filters).filter(([, value]) => value);
          if (activeFilters.length === 0) setRange(next);
          else setParams({ ...Object.fromEntries(activeFilters), ...next }, { replace: true });
        }}
      />
      <search className="grid grid-cols-2 items-end gap-3 lg:grid-cols-4">
        <SelectField
          label={t("admin.requests.outcome")}
          value={filters.outcome}
          onChange={(event) => changeFilter("outcome", event.target.value)}
        >
          <option value="">{t("admin.users.any")}</option>
          {OUTCOMES.map((code) => (
            <option key={code} value={code}>
              {t(`admin.requests.outcomes.${code}`)}
            </option>
          ))}
        </SelectField>
        {(["account", "model", "request_id"] as const).map((name) => (
          <TextField
            key={name}
            label={t(`admin.requests.${name}`)}
            type="search"
            maxLength={name === "account" ? 320 : 128}
            value={filters[name]}
            onChange={(event) => changeFilter(name, event.target.value.trim())}
          />
        ))}
      </search>
      <FilteredCalls filters={filters} range={range} />
    </Page>
  );
}

function FilteredCalls({ filters, range }: { filters: Filters; range: DateRange }) {
  const { t } = useTranslation();
  const [selected, setSelected] = useState<ModelCall | null>(null);
  const { account: accountFilter, ...rest } = useDebouncedValue(filters);
  const accountSearch = useQuery({
    queryKey: ["admin", "users", "of", accountFilter],
    queryFn: ({ signal }) =>
      requestJson<AdminUserPage>("/api/admin/users", { query: { q: accountFilter, limit: 2 }, signal }),
    enabled: accountFilter !== "",
  });
  const account =
    accountSearch.data?.items.find(({ email }) => email === accountFilter.toLowerCase()) ??
    accountSearch.data?.items[0];
  const searchRange = rest.request_id ? lastDays(SEARCH_DAYS, range.tz) : range;
  const query = {
    ...searchRange,
    ...rest,
    user_id: accountFilter ? account?.id : null,
    detail: "rows",
    order: "newest",
  };
  const calls = useInfiniteQuery({
    queryKey: ["admin", "requests", query],
    queryFn: ({ pageParam, signal }) =>
      requestJson<ModelCallPage>("/api/admin/usage", {
        query: { ...query, cursor: pageParam, limit: 50 },
        signal,
      }),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    placeholderData: keepPreviousData,
    enabled: accountFilter === "" || account !== undefined,
  });
  const error = accountSearch.error ?? calls.error;
  if (error) return <ErrorNotice error={error} onRetry={() => void calls.refetch()} />;
  if (accountFilter && accountSearch.data && !account)
    return <EmptyState icon="search" title={t("admin.users.none")} />;
  if (!calls.data) return <Loading />;
  const rows = calls.data.pages.flatMap((page) => page.items);
  if (rows.length === 0) return <EmptyState icon="search" title={t("admin.requests.none")} />;
  return (
    <>
      <CallsTable caption={t("admin.nav.requests")} rows={rows} onSelect={setSelected} />
      <ShowMoreButton query={calls} />
      {selected && <RequestDialog call={selected} onClose={() => setSelected(null)} />}
    </>
  );
}
