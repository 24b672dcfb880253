import { useInfiniteQuery, useMutation } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { useSearchParams } from "react-router";
import { call, request } from "../api/client";
import { saveAs } from "../lib/download";
import { formatMoney, formatNumber } from "../lib/format";
import { plainLine } from "../lib/text";
import { Button } from "../ui/button";
import { Empty, ErrorNotice, Loading } from "../ui/notice";
import { Page } from "../ui/page";
import { Table } from "../ui/table";
import { toastError } from "../ui/toast";
import { type Days, useDays } from "./range";
import { RangePicker } from "./range-picker";
import type { UsageSumPage } from "./types";

interface Asked extends Days {
  model: string | null;
  user_id: string | null;
}

/** Who used which model on which day; whole as a file for other programs. */
export function UsagePage() {
  const { t } = useTranslation();
  const [days, setDays] = useDays();
  const [params, setParams] = useSearchParams();
  const asked: Asked = { ...days, model: params.get("model"), user_id: params.get("user_id") };
  const file = useMutation({ mutationFn: download, onError: toastError });
  const narrowed = asked.model ?? (asked.user_id ? t("admin.usage.oneAccount") : null);
  return (
    <Page
      title={t("admin.nav.usage")}
      actions={
        <Button busy={file.isPending} onClick={() => file.mutate(asked)}>
          {t("admin.usage.csv")}
        </Button>
      }
    >
      <RangePicker
        days={days}
        onChange={(next) => (narrowed ? setParams(filled({ ...asked, ...next })) : setDays(next))}
      />
      {narrowed && (
        <p className="flex flex-wrap items-center gap-2 text-sm">
          {t("admin.usage.only", { name: narrowed })}
          <Button small kind="quiet" icon="close" onClick={() => setDays(days)}>
            {t("admin.usage.all")}
          </Button>
        </p>
      )}
      <Sums asked={asked} />
    </Page>
  );
}

function Sums({ asked }: { asked: Asked }) {
  const { t } = useTranslation();
  const sums = useInfiniteQuery({
    queryKey: ["admin", "usage", asked],
    queryFn: ({ pageParam, signal }) =>
      call<UsageSumPage>("/api/admin/usage", { query: { ...asked, cursor: pageParam }, signal }),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
  });
  if (sums.error) return <ErrorNotice error={sums.error} onRetry={() => void sums.refetch()} />;
  if (!sums.data) return <Loading />;
  const rows = sums.data.pages.flatMap((page) => page.items);
  if (rows.length === 0) return <Empty icon="chart" title={t("common.noData")} />;
  return (
    <>
      <Table
        caption={t("admin.nav.usage")}
        rows={rows}
        rowKey={(row) => `${row.day} ${row.model} ${row.user_id}`}
        columns={[
          { key: "day", title: t("admin.overview.day"), cell: (row) => row.day },
          { key: "model", title: t("admin.overview.model"), cell: (row) => row.model },
          {
            key: "user",
            title: t("admin.usage.account"),
            cell: (row) => (row.email ? plainLine(row.email) : t("admin.usage.left")),
          },
          {
            key: "requests",
            title: t("admin.overview.requests"),
            numeric: true,
            cell: (row) => formatNumber(row.requests),
          },
          {
            key: "tokens",
            title: t("admin.overview.tokens"),
            numeric: true,
            cell: (row) => formatNumber(row.total_tokens),
          },
          {
            key: "cost",
            title: t("admin.overview.cost"),
            numeric: true,
            cell: (row) => formatMoney(row.cost_usd),
          },
        ]}
      />
      {sums.hasNextPage && (
        <Button
          className="self-center"
          busy={sums.isFetchingNextPage}
          onClick={() => void sums.fetchNextPage()}
        >
          {t("common.more")}
        </Button>
      )}
    </>
  );
}

function filled(asked: Asked): Record<string, string> {
  return Object.fromEntries(Object.entries(asked).filter((entry): entry is [string, string] => !!entry[1]));
}

async function download(asked: Asked): Promise<void> {
  const query = new URLSearchParams({ ...filled(asked), format: "csv" });
  await saveAs(`usage-${asked.from}-${asked.to}.csv`, await request(`/api/admin/usage?${query}`));
}
