import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { EmptyState } from "../ui/empty-state";
import { ErrorNotice } from "../ui/error-notice";
import { Loading } from "../ui/loading";
import { Section } from "../ui/page";
import type { DateRange } from "./date-range";
import { usageRowsQuery } from "./usage-rows";
import { UsageTable } from "./usage-table";
import { groupUsage } from "./usage-totals";

const MAX_ACCOUNTS = 10;

/** The accounts with the highest cost in a date range. */
export function TopAccounts({ range }: { range: DateRange }) {
  const { t } = useTranslation();
  const usage = useQuery(usageRowsQuery({ ...range, model: null, user_id: null }));
  return (
    <Section title={t("admin.overview.topAccounts")}>
      {usage.error && <ErrorNotice error={usage.error} onRetry={() => void usage.refetch()} />}
      {usage.isPending && <Loading />}
      {usage.data &&
        (usage.data.rows.length ? (
          <UsageTable
            caption={t("admin.overview.topAccounts")}
            group="account"
            totals={groupUsage("account", usage.data.rows).slice(0, MAX_ACCOUNTS)}
            range={range}
          />
        ) : (
          <EmptyState icon="chart" title={t("common.noData")} />
        ))}
    </Section>
  );
}
