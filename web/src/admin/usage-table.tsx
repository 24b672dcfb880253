import type { TFunction } from "i18next";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { formatDay } from "../lib/format";
import { sanitizeLine } from "../lib/text";
import { Table, TruncatedCell } from "../ui/table";
import type { DateRange } from "./date-range";
import { usageColumns } from "./usage-columns";
import type { UsageGroup, UsageTotal } from "./usage-totals";

interface UsageTableProps {
  caption: string;
  group: UsageGroup;
  totals: UsageTotal[];
  range: DateRange;
  /** Adds a footer row with the sum of all rows. */
  showSum?: boolean;
}

/** Requests, tokens and cost by account, model or day; accounts and models link to their usage by day. */
export function UsageTable({ caption, group, totals, range, showSum }: UsageTableProps) {
  const { t } = useTranslation();
  const { columns, totals: footerCells } = usageColumns(totals, (total) => total, t);
  return (
    <Table
      caption={caption}
      rows={totals}
      rowKey={({ key }) => key}
      columns={[
        {
          key: "name",
          title: t(`admin.usage.groups.${group}`),
          cell: (total) => <GroupName group={group} total={total} range={range} />,
        },
        ...columns,
      ]}
      {...(showSum && { footer: [t("admin.usage.total"), ...footerCells] })}
    />
  );
}

interface GroupNameProps {
  group: UsageGroup;
  total: UsageTotal;
  range: DateRange;
}

function GroupName({ group, total: { row }, range }: GroupNameProps) {
  const { t } = useTranslation();
  if (group === "day") return formatDay(row.day);
  const label = groupLabel(group, row, t);
  const [filterName, filterValue] = group === "model" ? ["model", row.model] : ["user_id", row.user_id];
  if (filterValue === null) return label;
  const { from, to, tz } = range;
  const query = new URLSearchParams({ from, to, tz, [filterName as string]: filterValue ?? "", by: "day" });
  return (
    <Link className="text-accent underline" to={`/admin/usage?${query}`}>
      <TruncatedCell text={label} />
    </Link>
  );
}

function groupLabel(group: UsageGroup, row: UsageTotal["row"], t: TFunction): string {
  if (group === "model") return row.model;
  return row.email ? sanitizeLine(row.email) : t("admin.usage.deletedAccount");
}
