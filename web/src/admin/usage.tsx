import { useMutation, useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { useSearchParams } from "react-router";
import { request } from "../api/client";
import { saveResponse } from "../lib/download";
import { Button } from "../ui/button";
import { EmptyState } from "../ui/empty-state";
import { ErrorNotice } from "../ui/error-notice";
import { Loading } from "../ui/loading";
import { Notice } from "../ui/notice";
import { Page } from "../ui/page";
import { toastError } from "../ui/toast";
import { useDateRange } from "./date-range";
import { DateRangePicker } from "./date-range-picker";
import { KeyUsageTable } from "./key-usage-table";
import { type UsageFilter, usageRowsQuery } from "./usage-rows";
import { UsageTable } from "./usage-table";
import { groupUsage, USAGE_GROUPS, type UsageGroup } from "./usage-totals";

type GroupChoice = (typeof USAGE_GROUPS)[number];

/** Usage by account, API key, model or day, also as a CSV file. */
export function UsagePage() {
  const { t } = useTranslation();
  const [range] = useDateRange();
  const [params, setParams] = useSearchParams();
  const filter: UsageFilter = { ...range, model: params.get("model"), user_id: params.get("user_id") };
  const group: GroupChoice = USAGE_GROUPS.find((name) => name === params.get("by")) ?? "account";
  const changeParams = (changes: Partial<UsageFilter & { by: GroupChoice }>) =>
    setParams(definedParams({ ...filter, by: group, ...changes }), { replace: true });
  const csvDownload = useMutation({ mutationFn: downloadCsv, onError: toastError });
  const filterLabel = filter.model ?? (filter.user_id ? t("admin.usage.oneAccount") : null);
  return (
    <Page
      wide
      title={t("admin.nav.usage")}
      actions={
        <Button busy={csvDownload.isPending} onClick={() => csvDownload.mutate(filter)}>
          {t("admin.usage.csv")}
        </Button>
      }
    >
      <DateRangePicker range={range} onChange={changeParams} />
      <GroupPicker group={group} onChange={(by) => changeParams({ by })} />
      {filterLabel && (
        <p className="flex flex-wrap items-center gap-2 text-sm">
          {t("admin.usage.filteredBy", { name: filterLabel })}
          <Button
            small
            variant="ghost"
            icon="close"
            onClick={() => changeParams({ model: null, user_id: null })}
          >
            {t("admin.usage.clearFilter")}
          </Button>
        </p>
      )}
      {group === "key" ? <KeyUsageTable filter={filter} /> : <GroupedUsage filter={filter} group={group} />}
    </Page>
  );
}

interface GroupPickerProps {
  group: GroupChoice;
  onChange: (group: GroupChoice) => void;
}

function GroupPicker({ group, onChange }: GroupPickerProps) {
  const { t } = useTranslation();
  return (
    <fieldset aria-label={t("admin.usage.groupBy")} className="flex flex-wrap items-center gap-1">
      <span className="mr-1 text-sm text-ink-soft" aria-hidden="true">
        {t("admin.usage.groupBy")}
      </span>
      {USAGE_GROUPS.map((name) => (
        <Button
          key={name}
          variant={name === group ? "secondary" : "ghost"}
          aria-pressed={name === group}
          onClick={() => onChange(name)}
        >
          {t(`admin.usage.groups.${name}`)}
        </Button>
      ))}
    </fieldset>
  );
}

function GroupedUsage({ filter, group }: { filter: UsageFilter; group: UsageGroup }) {
  const { t } = useTranslation();
  const usage = useQuery(usageRowsQuery(filter));
  if (usage.error) return <ErrorNotice error={usage.error} onRetry={() => void usage.refetch()} />;
  if (!usage.data) return <Loading />;
  const { rows, complete } = usage.data;
  if (rows.length === 0) return <EmptyState icon="chart" title={t("common.noData")} />;
  return (
    <>
      {!complete && <Notice kind="warning">{t("admin.usage.incomplete")}</Notice>}
      <UsageTable
        caption={t("admin.nav.usage")}
        group={group}
        totals={groupUsage(group, rows)}
        range={filter}
        showSum
      />
    </>
  );
}

function definedParams(params: Record<string, string | null>): Record<string, string> {
  return Object.fromEntries(Object.entries(params).filter((entry): entry is [string, string] => !!entry[1]));
}

async function downloadCsv(filter: UsageFilter): Promise<void> {
  const query = new URLSearchParams({ ...definedParams({ ...filter }), format: "csv" });
  await saveResponse(`usage-${filter.from}-${filter.to}.csv`, await request(`/api/admin/usage?${query}`));
}
