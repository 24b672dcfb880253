import type { TFunction } from "i18next";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { formatDay, formatNumber, moneyColumn } from "../lib/format";
import { plainLine } from "../lib/text";
import { Clip, Table } from "../ui/table";
import type { Days } from "./range";
import type { Group, Total } from "./totals";

interface TotalsProps {
  caption: string;
  group: Group;
  totals: Total[];
  days: Days;
  /** A last row with the sums of all. */
  withTotal?: boolean;
}

/** Requests, tokens and cost by account, model or day; an account or a model leads to its own figures. */
export function TotalsTable({ caption, group, totals, days, withTotal }: TotalsProps) {
  const { t } = useTranslation();
  const money = moneyColumn(totals.map(({ cost }) => cost));
  const sum = (of: (total: Total) => number) => totals.reduce((all, total) => all + of(total), 0);
  return (
    <Table
      caption={caption}
      rows={totals}
      rowKey={({ key }) => key}
      columns={[
        {
          key: "name",
          title: t(`admin.usage.groups.${group}`),
          cell: (total) => <Name group={group} total={total} days={days} />,
        },
        {
          key: "requests",
          title: t("admin.overview.requests"),
          numeric: true,
          cell: ({ requests }) => formatNumber(requests),
        },
        {
          key: "tokens",
          title: t("admin.overview.tokens"),
          numeric: true,
          cell: ({ tokens }) => formatNumber(tokens),
        },
        { key: "cost", title: t("admin.overview.cost"), numeric: true, cell: ({ cost }) => money(cost) },
      ]}
      {...(withTotal && {
        foot: [
          t("admin.usage.total"),
          formatNumber(sum(({ requests }) => requests)),
          formatNumber(sum(({ tokens }) => tokens)),
          money(sum(({ cost }) => cost)),
        ],
      })}
    />
  );
}

function Name({ group, total, days }: { group: Group; total: Total; days: Days }) {
  const { t } = useTranslation();
  if (group === "day") return formatDay(total.of.day);
  const name = nameOf(group, total, t);
  const narrowed = group === "model" ? { model: total.of.model } : { user_id: total.of.user_id };
  if (Object.values(narrowed)[0] === null) return name;
  const query = new URLSearchParams({
    from: days.from,
    to: days.to,
    tz: days.tz,
    ...(narrowed as Record<string, string>),
    by: "day",
  });
  return (
    <Link className="text-accent underline" to={`/admin/usage?${query}`}>
      <Clip text={name} />
    </Link>
  );
}

function nameOf(group: Group, { of }: Total, t: TFunction): string {
  if (group === "model") return of.model;
  return of.email ? plainLine(of.email) : t("admin.usage.left");
}
