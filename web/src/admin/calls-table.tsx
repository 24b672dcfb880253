import { useTranslation } from "react-i18next";
import { isSuccessful, outcomeLabel } from "../i18n/code-labels";
import { formatDateTime, formatDuration, formatNumber, moneyFormatter } from "../lib/format";
import { sanitizeLine } from "../lib/text";
import { type Column, Table, TruncatedCell } from "../ui/table";
import type { ModelCall } from "./types";

interface CallsTableProps {
  caption: string;
  rows: ModelCall[];
  /** Opens the request of a call; omitted if all calls belong to one request. */
  onSelect?: (call: ModelCall) => void;
}

/** Model calls with their outcome and, if they failed, the provider's error. */
export function CallsTable({ caption, rows, onSelect }: CallsTableProps) {
  const { t } = useTranslation();
  const money = moneyFormatter(rows.map(({ cost_usd }) => cost_usd));
  const accountColumns: Column<ModelCall>[] = [
    {
      key: "account",
      title: t("admin.usage.account"),
      cell: ({ email }) =>
        email ? <TruncatedCell text={sanitizeLine(email)} /> : t("admin.usage.deletedAccount"),
    },
    {
      key: "request",
      title: t("admin.live.requestId"),
      cell: (row) => (
        <button type="button" className="text-accent underline" onClick={() => onSelect?.(row)}>
          <TruncatedCell mono narrow text={sanitizeLine(row.request_id)} />
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
        { key: "time", title: t("admin.audit.time"), cell: ({ created_at }) => formatDateTime(created_at) },
        ...(onSelect ? accountColumns : []),
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
          key: "latency",
          title: t("admin.slowest.latency"),
          numeric: true,
          cell: (row) => formatDuration(row.latency_ms),
        },
      ]}
    />
  );
}

function Outcome({
  call: { outcome, upstream_status: status, upstream_reason: reason },
}: {
  call: ModelCall;
}) {
  const succeeded = isSuccessful(outcome);
  const providerError = [status, reason && sanitizeLine(reason)].filter(Boolean).join(": ");
  return (
    <>
      <span className={succeeded ? "" : "text-danger"}>{outcomeLabel(outcome)}</span>
      {providerError && <span className="block max-w-md text-xs text-ink-soft">{providerError}</span>}
    </>
  );
}
