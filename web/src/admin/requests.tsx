import { keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useSearchParams } from "react-router";
import { call } from "../api/client";
import { useSettled } from "../lib/use-settled";
import { Button } from "../ui/button";
import { SelectField, TextField } from "../ui/field";
import { Empty, ErrorNotice, Loading } from "../ui/notice";
import { Page } from "../ui/page";
import { CallsTable } from "./calls-table";
import { type Days, lastDays, useDays } from "./range";
import { RangePicker } from "./range-picker";
import { RequestDialog } from "./request-dialog";
import type { AccountPage, Call, CallPage } from "./types";

const FILTERS = ["outcome", "account", "model", "request_id"] as const;
type Filters = Record<(typeof FILTERS)[number], string>;

/** Codes of a call's end that are worth a filter of their own; `failed` is every error. */
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

/** A request whose id is known is looked for in as many days. */
const FAR = 90;

/** Every call of a model with how it ended, and why it failed: the newest first. */
export function RequestsPage() {
  const { t } = useTranslation();
  const [days, setDays] = useDays();
  const [params, setParams] = useSearchParams();
  const filters = Object.fromEntries(FILTERS.map((name) => [name, params.get(name) ?? ""])) as Filters;
  const change = (name: keyof Filters, value: string) => {
    const next = new URLSearchParams(params);
    if (value) next.set(name, value);
    else next.delete(name);
    setParams(next, { replace: true });
  };
  return (
    <Page title={t("admin.nav.requests")} wide>
      <RangePicker
        days={days}
        onChange={(next) => {
          const kept = Object.entries(filters).filter(([, value]) => value);
          if (kept.length === 0) setDays(next);
          else setParams({ ...Object.fromEntries(kept), ...next }, { replace: true });
        }}
      />
      <search className="grid grid-cols-2 items-end gap-3 lg:grid-cols-4">
        <SelectField
          label={t("admin.requests.outcome")}
          value={filters.outcome}
          onChange={(event) => change("outcome", event.target.value)}
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
            onChange={(event) => change(name, event.target.value.trim())}
          />
        ))}
      </search>
      <Calls filters={filters} days={days} />
    </Page>
  );
}

function Calls({ filters, days }: { filters: Filters; days: Days }) {
  const { t } = useTranslation();
  const [chosen, setChosen] = useState<Call | null>(null);
  const { account, ...rest } = useSettled(filters);
  const whose = useQuery({
    queryKey: ["admin", "users", "of", account],
    queryFn: ({ signal }) =>
      call<AccountPage>("/api/admin/users", { query: { q: account, limit: 2 }, signal }),
    enabled: account !== "",
  });
  const found =
    whose.data?.items.find(({ email }) => email === account.toLowerCase()) ?? whose.data?.items[0];
  const range = rest.request_id ? lastDays(FAR, days.tz) : days;
  const query = { ...range, ...rest, user_id: account ? found?.id : null, detail: "rows", order: "newest" };
  const calls = useInfiniteQuery({
    queryKey: ["admin", "requests", query],
    queryFn: ({ pageParam, signal }) =>
      call<CallPage>("/api/admin/usage", { query: { ...query, cursor: pageParam, limit: 50 }, signal }),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    placeholderData: keepPreviousData,
    enabled: account === "" || found !== undefined,
  });
  const error = whose.error ?? calls.error;
  if (error) return <ErrorNotice error={error} onRetry={() => void calls.refetch()} />;
  if (account && whose.data && !found) return <Empty icon="search" title={t("admin.users.none")} />;
  if (!calls.data) return <Loading />;
  const rows = calls.data.pages.flatMap((page) => page.items);
  if (rows.length === 0) return <Empty icon="search" title={t("admin.requests.none")} />;
  return (
    <>
      <CallsTable caption={t("admin.nav.requests")} rows={rows} onChoose={setChosen} />
      {calls.hasNextPage && (
        <Button
          className="self-center"
          busy={calls.isFetchingNextPage}
          onClick={() => void calls.fetchNextPage()}
        >
          {t("common.more")}
        </Button>
      )}
      {chosen && <RequestDialog call={chosen} onClose={() => setChosen(null)} />}
    </>
  );
}
