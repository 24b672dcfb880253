import { useTranslation } from "react-i18next";
import { moneyFormatter } from "../lib/format";
import { sanitizeLine } from "../lib/text";
import { Table, TruncatedCell } from "../ui/table";
import {
  accountColumn,
  latencyColumn,
  modelColumn,
  Outcome,
  timeColumn,
  tokensColumn,
} from "./model-call-columns";
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
  const formatCost = moneyFormatter(rows.map(({ cost_usd }) => cost_usd));
  const requestColumn = {
    key: "request",
    title: t("admin.live.requestId"),
    cell: (call: ModelCall) => (
      <button type="button" className="text-accent underline" onClick={() => onSelect?.(call)}>
        <TruncatedCell mono narrow text={sanitizeLine(call.request_id)} />
      </button>
    ),
  };
  return (
    <Table
      caption={caption}
      rows={rows}
      rowKey={(call) => call.id}
      columns={[
        timeColumn(t),
        ...(onSelect ? [accountColumn(t), requestColumn] : []),
        modelColumn(t),
        {
          key: "outcome",
          title: t("admin.requests.outcome"),
          cell: (call) => <OutcomeWithError call={call} />,
        },
        tokensColumn(t),
        {
          key: "cost",
          title: t("admin.overview.cost"),
          numeric: true,
          cell: ({ cost_usd }) => formatCost(cost_usd),
        },
        latencyColumn(t),
      ]}
    />
  );
}

function OutcomeWithError({ call }: { call: ModelCall }) {
  const { upstream_status: status, upstream_reason: reason } = call;
  const providerError = [status, reason && sanitizeLine(reason)].filter(Boolean).join(": ");
  return (
    <>
      <Outcome outcome={call.outcome} />
      {providerError && <span className="block max-w-md text-xs text-ink-soft">{providerError}</span>}
    </>
  );
}
