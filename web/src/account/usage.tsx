import { queryOptions, useQuery } from "@tanstack/react-query";
import type { TFunction } from "i18next";
import { useTranslation } from "react-i18next";
import { requestJson } from "../api/client";
import type { Usage } from "../api/types";
import { formatBytes, formatMoney, formatNumber, moneyFormatter } from "../lib/format";
import { sanitizeLine } from "../lib/text";
import { EmptyState } from "../ui/empty-state";
import { ErrorNotice } from "../ui/error-notice";
import { Loading } from "../ui/loading";
import { Page, Section, Stat } from "../ui/page";
import { type Column, Table } from "../ui/table";

const usageQuery = queryOptions({
  queryKey: ["usage"],
  queryFn: ({ signal }) => requestJson<Usage>("/api/user/me/usage", { signal }),
});

export function UsagePage() {
  const { t } = useTranslation();
  const usage = useQuery(usageQuery);
  return (
    <Page title={t("account.usage.title")}>
      {usage.error && <ErrorNotice error={usage.error} onRetry={() => void usage.refetch()} />}
      {usage.isPending && <Loading />}
      {usage.data && (
        <>
          <p className="text-sm text-ink-soft">{t("account.usage.hint", { tier: usage.data.tier })}</p>
          <Limits usage={usage.data} />
          <UsageTotals title={t("account.usage.today")} totals={usage.data.day} />
          <UsageTotals title={t("account.usage.thisMonth")} totals={usage.data.month} />
          <Breakdown usage={usage.data} />
        </>
      )}
    </Page>
  );
}

function Limits({ usage: { day, month, limits, remaining, stored_bytes: storedBytes } }: { usage: Usage }) {
  const { t } = useTranslation();
  return (
    <div className="grid gap-4 sm:grid-cols-2 lg:grid-cols-4">
      <Gauge
        label={t("account.usage.tokensToday")}
        used={day.total_tokens}
        limit={limits.tokens_per_day}
        remaining={remaining.tokens_per_day}
        format={formatNumber}
      />
      <Gauge
        label={t("account.usage.costThisMonth")}
        used={Number(month.cost_usd)}
        limit={limits.usd_per_month === null ? null : Number(limits.usd_per_month)}
        remaining={remaining.usd_per_month === null ? null : Number(remaining.usd_per_month)}
        format={formatMoney}
      />
      <Gauge
        label={t("account.usage.storage")}
        used={storedBytes}
        limit={limits.storage_bytes}
        remaining={remaining.storage_bytes}
        format={formatBytes}
      />
      <div className="panel flex flex-col gap-1 px-4 py-3">
        <p className="text-sm text-ink-soft">{t("account.usage.requestsPerMinute")}</p>
        <p className="font-medium">
          {limits.requests_per_minute === null
            ? t("account.usage.unlimited")
            : t("account.usage.requestsPerMinuteLimit", { limit: formatNumber(limits.requests_per_minute) })}
        </p>
      </div>
    </div>
  );
}

interface GaugeProps {
  label: string;
  used: number;
  limit: number | null;
  remaining: number | null;
  format: (value: number) => string;
}

function Gauge({ label, used, limit, remaining, format }: GaugeProps) {
  const { t } = useTranslation();
  return (
    <div className="panel flex flex-col gap-1.5 px-4 py-3">
      <p className="text-sm text-ink-soft">{label}</p>
      <p className="font-medium tabular-nums">
        {limit === null
          ? t("account.usage.noLimit", { used: format(used) })
          : t("account.usage.ofLimit", { used: format(used), limit: format(limit) })}
      </p>
      {limit !== null && (
        <>
          <meter
            className="h-2 w-full"
            min={0}
            max={limit}
            high={limit * 0.9}
            value={used}
            aria-label={label}
          />
          {remaining !== null && (
            <p className="text-xs text-ink-soft">
              {t("account.usage.remaining", { remaining: format(Math.max(remaining, 0)) })}
            </p>
          )}
        </>
      )}
    </div>
  );
}

function UsageTotals({ title, totals }: { title: string; totals: Usage["day"] }) {
  const { t } = useTranslation();
  return (
    <Section title={title}>
      <dl className="grid grid-cols-2 gap-4 sm:grid-cols-4">
        <Stat label={t("account.usage.requests")} value={formatNumber(totals.requests)} />
        <Stat label={t("account.usage.promptTokens")} value={formatNumber(totals.prompt_tokens)} />
        <Stat label={t("account.usage.completionTokens")} value={formatNumber(totals.completion_tokens)} />
        <Stat label={t("account.usage.cost")} value={formatMoney(totals.cost_usd)} />
      </dl>
    </Section>
  );
}

function Breakdown({ usage: { by_model, by_key } }: { usage: Usage }) {
  const { t } = useTranslation();
  if (by_model.length === 0)
    return (
      <EmptyState icon="chart" title={t("account.usage.none")}>
        {t("account.usage.noneHint")}
      </EmptyState>
    );
  const columns = usageColumns([...by_model, ...by_key], t);
  return (
    <>
      <Section title={t("account.usage.byModel")}>
        <Table
          caption={t("account.usage.byModel")}
          rows={by_model}
          rowKey={(row) => row.model}
          columns={[
            { key: "model", title: t("account.usage.model"), cell: ({ model }) => model },
            ...columns,
          ]}
        />
      </Section>
      <Section title={t("account.usage.byKey")}>
        <Table
          caption={t("account.usage.byKey")}
          rows={by_key}
          rowKey={(row) => row.api_key_id ?? "signed-in"}
          columns={[
            { key: "key", title: t("account.usage.key"), cell: (row) => keyLabel(row, t) },
            ...columns,
          ]}
        />
      </Section>
    </>
  );
}

/** Columns for requests, tokens and cost; all costs have the same number of digits. */
function usageColumns(rows: readonly Usage["day"][], t: TFunction): Column<Usage["day"]>[] {
  const formatCost = moneyFormatter(rows.map(({ cost_usd }) => cost_usd));
  return [
    {
      key: "requests",
      title: t("account.usage.requests"),
      numeric: true,
      cell: ({ requests }) => formatNumber(requests),
    },
    {
      key: "tokens",
      title: t("account.usage.tokens"),
      numeric: true,
      cell: ({ total_tokens }) => formatNumber(total_tokens),
    },
    {
      key: "cost",
      title: t("account.usage.cost"),
      numeric: true,
      cell: ({ cost_usd }) => formatCost(cost_usd),
    },
  ];
}

function keyLabel(row: Usage["by_key"][number], t: TFunction): string {
  if (row.api_key_id === null) return t("account.usage.noKey");
  if (row.name === null) return t("account.usage.deletedKey");
  return `${sanitizeLine(row.name)} (${row.prefix}…)`;
}
