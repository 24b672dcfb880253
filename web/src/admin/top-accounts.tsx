import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Empty, ErrorNotice, Loading } from "../ui/notice";
import { Section } from "../ui/page";
import type { Days } from "./range";
import { allSums } from "./sums";
import { totalsBy } from "./totals";
import { TotalsTable } from "./totals-table";

const TOP = 10;

/** Who spent most in these days. */
export function TopAccounts({ days }: { days: Days }) {
  const { t } = useTranslation();
  const sums = useQuery(allSums({ ...days, model: null, user_id: null }));
  return (
    <Section title={t("admin.overview.topAccounts")}>
      {sums.error && <ErrorNotice error={sums.error} onRetry={() => void sums.refetch()} />}
      {sums.isPending && <Loading />}
      {sums.data &&
        (sums.data.rows.length ? (
          <TotalsTable
            caption={t("admin.overview.topAccounts")}
            group="account"
            totals={totalsBy("account", sums.data.rows).slice(0, TOP)}
            days={days}
          />
        ) : (
          <Empty icon="chart" title={t("common.noData")} />
        ))}
    </Section>
  );
}
