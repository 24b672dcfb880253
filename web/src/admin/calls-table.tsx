import { useTranslation } from "react-i18next";
import { sayOutcome } from "../lib/codes";
import { formatDuration, formatNumber, formatTime, moneyColumn } from "../lib/format";
import { plainLine } from "../lib/text";
import { Clip, type Column, Table } from "../ui/table";
import type { Call } from "./types";

const GOOD: ReadonlySet<string> = new Set(["ok", "cached", "cancelled"]);

interface CallsProps {
  caption: string;
  rows: Call[];
  /** Opens the request of a call; without it the calls are of one request. */
  onChoose?: (call: Call) => void;
}

/** Calls of models: whose, how they ended, and what the provider said where they failed. */
export function CallsTable({ caption, rows, onChoose }: CallsProps) {
  const { t } = useTranslation();
  const money = moneyColumn(rows.map(({ cost_usd }) => cost_usd));
  const whose: Column<Call>[] = [
    {
      key: "account",
      title: t("admin.usage.account"),
      cell: ({ email }) => (email ? <Clip text={plainLine(email)} /> : t("admin.usage.left")),
    },
    {
      key: "request",
      title: t("admin.live.request"),
      cell: (row) => (
        <button type="button" className="text-accent underline" onClick={() => onChoose?.(row)}>
          <Clip mono short text={plainLine(row.request_id)} />
        </button>
      ),
    },
  ];
  return (
    <Table
      caption={caption}
      rows={rows}
      rowKey={(row) => row.id}
      columns={[
        { key: "time", title: t("admin.audit.time"), cell: ({ created_at }) => formatTime(created_at) },
        ...(onChoose ? whose : []),
        {
          key: "model",
          title: t("admin.overview.model"),
          cell: (row) => (
            <>
              {row.model}
              <span className="block text-xs text-ink-soft">{row.provider}</span>
            </>
          ),
        },
        { key: "outcome", title: t("admin.requests.outcome"), cell: (row) => <Outcome call={row} /> },
        {
          key: "tokens",
          title: t("admin.overview.tokens"),
          numeric: true,
          cell: (row) => formatNumber(row.prompt_tokens + row.completion_tokens),
        },
        { key: "cost", title: t("admin.overview.cost"), numeric: true, cell: (row) => money(row.cost_usd) },
        {
          key: "took",
          title: t("admin.slowest.took"),
          numeric: true,
          cell: (row) => formatDuration(row.latency_ms),
        },
      ]}
    />
  );
}

function Outcome({ call: { outcome, upstream_status: status, upstream_reason: reason } }: { call: Call }) {
  const good = GOOD.has(outcome);
  const said = [status, reason && plainLine(reason)].filter(Boolean).join(": ");
  return (
    <>
      <span className={good ? "" : "text-danger"}>{sayOutcome(outcome)}</span>
      {said && <span className="block max-w-md text-xs text-ink-soft">{said}</span>}
    </>
  );
}
