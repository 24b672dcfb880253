/** Table columns shared by the tables of model calls. */
import type { TFunction } from "i18next";
import { isSuccessful, outcomeLabel } from "../i18n/code-labels";
import { formatDateTime, formatDuration, formatNumber } from "../lib/format";
import { sanitizeLine } from "../lib/text";
import { type Column, TruncatedCell } from "../ui/table";
import type { ModelCall, SlowCall } from "./types";

type Call = Pick<
  ModelCall & SlowCall,
  | "model"
  | "provider"
  | "outcome"
  | "prompt_tokens"
  | "completion_tokens"
  | "latency_ms"
  | "created_at"
  | "email"
>;

export function timeColumn(t: TFunction): Column<Call> {
  return {
    key: "time",
    title: t("admin.audit.time"),
    cell: ({ created_at }) => <span className="whitespace-nowrap">{formatDateTime(created_at)}</span>,
  };
}

export function accountColumn(t: TFunction): Column<Call> {
  return {
    key: "account",
    title: t("admin.usage.account"),
    cell: ({ email }) =>
      email ? <TruncatedCell text={sanitizeLine(email)} /> : t("admin.usage.deletedAccount"),
  };
}

export function modelColumn(t: TFunction): Column<Call> {
  return {
    key: "model",
    title: t("admin.overview.model"),
    cell: ({ model, provider }) => (
      <>
        {model}
        <span className="block text-xs text-ink-soft">{provider}</span>
      </>
    ),
  };
}

export function tokensColumn(t: TFunction): Column<Call> {
  return {
    key: "tokens",
    title: t("admin.overview.tokens"),
    numeric: true,
    cell: (call) => formatNumber(call.prompt_tokens + call.completion_tokens),
  };
}

export function latencyColumn(t: TFunction): Column<Call> {
  return {
    key: "latency",
    title: t("admin.slowest.latency"),
    numeric: true,
    cell: ({ latency_ms }) => formatDuration(latency_ms),
  };
}

export function Outcome({ outcome }: { outcome: string }) {
  return <span className={isSuccessful(outcome) ? "" : "text-danger"}>{outcomeLabel(outcome)}</span>;
}
