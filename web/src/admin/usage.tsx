import { useMutation, useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { useSearchParams } from "react-router";
import { request } from "../api/client";
import { saveAs } from "../lib/download";
import { Button } from "../ui/button";
import { Empty, ErrorNotice, Loading, Notice } from "../ui/notice";
import { Page } from "../ui/page";
import { toastError } from "../ui/toast";
import { KeyTotals } from "./key-totals";
import { useDays } from "./range";
import { RangePicker } from "./range-picker";
import { type Asked, allSums } from "./sums";
import { GROUPS, type Group, totalsBy } from "./totals";
import { TotalsTable } from "./totals-table";

/** Who used how much of what, the dearest first; whole as a file for other programs. */
export function UsagePage() {
  const { t } = useTranslation();
  const [days] = useDays();
  const [params, setParams] = useSearchParams();
  const asked: Asked = { ...days, model: params.get("model"), user_id: params.get("user_id") };
  const group = GROUPS.find((one) => one === params.get("by")) ?? "account";
  const change = (next: Partial<Asked & { by: (typeof GROUPS)[number] }>) =>
    setParams(filled({ ...asked, by: group, ...next }), { replace: true });
  const file = useMutation({ mutationFn: download, onError: toastError });
  const narrowed = asked.model ?? (asked.user_id ? t("admin.usage.oneAccount") : null);
  return (
    <Page
      wide
      title={t("admin.nav.usage")}
      actions={
        <Button busy={file.isPending} onClick={() => file.mutate(asked)}>
          {t("admin.usage.csv")}
        </Button>
      }
    >
      <RangePicker days={days} onChange={change} />
      <fieldset aria-label={t("admin.usage.by")} className="flex flex-wrap items-center gap-1">
        <span className="mr-1 text-sm text-ink-soft" aria-hidden="true">
          {t("admin.usage.by")}
        </span>
        {GROUPS.map((one) => (
          <Button
            key={one}
            kind={one === group ? "plain" : "quiet"}
            aria-pressed={one === group}
            onClick={() => change({ by: one })}
          >
            {t(`admin.usage.groups.${one}`)}
          </Button>
        ))}
      </fieldset>
      {narrowed && (
        <p className="flex flex-wrap items-center gap-2 text-sm">
          {t("admin.usage.only", { name: narrowed })}
          <Button small kind="quiet" icon="close" onClick={() => change({ model: null, user_id: null })}>
            {t("admin.usage.all")}
          </Button>
        </p>
      )}
      {group === "key" ? <KeyTotals asked={asked} /> : <Sums asked={asked} group={group} />}
    </Page>
  );
}

function Sums({ asked, group }: { asked: Asked; group: Group }) {
  const { t } = useTranslation();
  const sums = useQuery(allSums(asked));
  if (sums.error) return <ErrorNotice error={sums.error} onRetry={() => void sums.refetch()} />;
  if (!sums.data) return <Loading />;
  const { rows, whole } = sums.data;
  if (rows.length === 0) return <Empty icon="chart" title={t("common.noData")} />;
  return (
    <>
      {!whole && <Notice kind="warning">{t("admin.usage.notWhole")}</Notice>}
      <TotalsTable
        caption={t("admin.nav.usage")}
        group={group}
        totals={totalsBy(group, rows)}
        days={asked}
        withTotal
      />
    </>
  );
}

function filled(asked: Record<string, string | null>): Record<string, string> {
  return Object.fromEntries(Object.entries(asked).filter((entry): entry is [string, string] => !!entry[1]));
}

async function download(asked: Asked): Promise<void> {
  const query = new URLSearchParams({ ...filled({ ...asked }), format: "csv" });
  await saveAs(`usage-${asked.from}-${asked.to}.csv`, await request(`/api/admin/usage?${query}`));
}
