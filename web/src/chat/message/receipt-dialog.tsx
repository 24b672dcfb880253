import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { Receipt, ReceiptModelCall } from "../../api/types";
import { codeLabel, isSuccessful, outcomeLabel } from "../../i18n/code-labels";
import { formatDuration, formatMoney, formatNumber, formatPercent, moneyFormatter } from "../../lib/format";
import { sanitizeLine } from "../../lib/text";
import { CopyButton } from "../../ui/copy-button";
import { Dialog } from "../../ui/dialog";
import { RequestId } from "../../ui/request-id";
import { Table } from "../../ui/table";
import type { AnswerView } from "./answer-view";

interface ReceiptDialogProps {
  view: AnswerView;
  receipt: Receipt;
  onClose: () => void;
}

/** The details of an answer: model, tokens, cost, model calls and guardrails. */
export function ReceiptDialog({ view, receipt, onClose }: ReceiptDialogProps) {
  const { t } = useTranslation();
  return (
    <Dialog open wide title={t("chat.details")} onClose={onClose}>
      <Details view={view} receipt={receipt} />
      {view.requestId && <RequestId id={view.requestId} />}
      <ModelCallTable calls={receipt.attempts} />
      <GuardrailTable receipt={receipt} />
      <RawReceipt receipt={receipt} />
    </Dialog>
  );
}

function Details({ view, receipt }: { view: AnswerView; receipt: Receipt }) {
  const { t } = useTranslation();
  const calls = receipt.attempts;
  const promptTokens = calls.reduce((sum, { usage }) => sum + usage.prompt_tokens, 0);
  const completionTokens = calls.reduce((sum, { usage }) => sum + usage.completion_tokens, 0);
  const cache = String(receipt.cache?.result ?? "bypass") as "bypass";
  const classified = receipt.intent && receipt.intent_by;
  const steps = Object.entries(receipt.nodes_ms).map(
    ([name, ms]) => `${codeLabel("nodes", name)} ${formatDuration(ms)}`,
  );
  return (
    <dl className="grid gap-x-6 gap-y-2 text-sm sm:grid-cols-[auto_1fr]">
      <DetailRow label={t("chat.model")}>
        {view.model} {view.provider && <span className="text-ink-soft">({view.provider})</span>}
      </DetailRow>
      <DetailRow label={t("chat.modelReason")}>
        <ModelReason receipt={receipt} model={view.model} />
      </DetailRow>
      {classified && (
        <>
          <DetailRow label={t("chat.intent")}>
            {codeLabel("intents", receipt.intent)} · {formatPercent(receipt.intent_score)}
          </DetailRow>
          <DetailRow label={t("chat.complexity")}>{formatPercent(receipt.complexity)}</DetailRow>
        </>
      )}
      <DetailRow label={t("chat.tokens")}>
        {t("chat.tokenSplit", {
          prompt: formatNumber(promptTokens),
          completion: formatNumber(completionTokens),
        })}
      </DetailRow>
      <DetailRow label={t("chat.cost")}>{formatMoney(view.costUsd ?? 0)}</DetailRow>
      {view.durationMs !== null && (
        <DetailRow label={t("chat.duration")}>{formatDuration(view.durationMs)}</DetailRow>
      )}
      <DetailRow label={t("chat.cache")}>{t(`chat.cacheResults.${cache}`)}</DetailRow>
      <DetailRow label={t("chat.overhead")}>{formatDuration(receipt.overhead_ms)}</DetailRow>
      <DetailRow label={t("chat.nodes")}>{steps.join(" · ")}</DetailRow>
    </dl>
  );
}

function RawReceipt({ receipt }: { receipt: Receipt }) {
  const { t } = useTranslation();
  const json = JSON.stringify(receipt, null, 2);
  return (
    <details className="text-sm">
      <summary className="font-medium">{t("chat.rawReceipt")}</summary>
      <div className="mt-2 flex justify-end">
        <CopyButton text={json} withText />
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable region must be reachable by keyboard. */}
      <pre tabIndex={0} className="max-h-96 overflow-auto rounded-sm bg-panel p-3 text-xs">
        {json}
      </pre>
    </details>
  );
}

/** Why this model was used: the requested model or the classification, and the calls that failed before. */
function ModelReason({
  receipt: { alias, intent, complexity, attempts },
  model,
}: {
  receipt: Receipt;
  model: string;
}) {
  const { t } = useTranslation();
  const reason =
    alias === model
      ? t("chat.modelReasons.requested", { model })
      : alias !== "auto"
        ? t("chat.modelReasons.alias", { alias, model })
        : intent
          ? t("chat.modelReasons.classified", {
              intent: codeLabel("intents", intent),
              complexity: formatPercent(complexity),
            })
          : t("chat.modelReasons.auto");
  const failedCalls = attempts.filter(({ step, outcome }) => step === "answer" && !isSuccessful(outcome));
  return (
    <>
      {reason}
      {failedCalls.map(({ model: failedModel, outcome }, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the list does not change.
        <span key={index} className="block text-ink-soft">
          {t("chat.modelReasons.failed", { model: failedModel, outcome: outcomeLabel(outcome) })}
        </span>
      ))}
    </>
  );
}

function DetailRow({ label, children }: { label: string; children: ReactNode }) {
  return (
    <>
      <dt className="text-ink-soft">{label}</dt>
      <dd>{children}</dd>
    </>
  );
}

function ModelCallTable({ calls }: { calls: ReceiptModelCall[] }) {
  const { t } = useTranslation();
  if (calls.length === 0) return null;
  const money = moneyFormatter(calls.map(({ cost_usd }) => cost_usd));
  return (
    <Table
      caption={t("chat.modelCalls")}
      showCaption
      rows={calls.map((call, index) => ({ ...call, index }))}
      rowKey={({ index }) => String(index)}
      columns={[
        { key: "model", title: t("chat.model"), cell: ({ model }) => model },
        { key: "step", title: t("chat.purpose"), cell: ({ step }) => t(`chat.purposes.${step}`) },
        { key: "outcome", title: t("chat.outcome"), cell: ({ outcome }) => outcomeLabel(outcome) },
        {
          key: "tokens",
          title: t("chat.tokens"),
          numeric: true,
          cell: ({ usage }) => `${usage.prompt_tokens} + ${usage.completion_tokens}`,
        },
        { key: "cost", title: t("chat.cost"), numeric: true, cell: ({ cost_usd }) => money(cost_usd) },
        { key: "ms", title: t("chat.latency"), numeric: true, cell: ({ ms }) => formatDuration(ms) },
      ]}
    />
  );
}

interface Verdict {
  guard: string;
  where: string;
  tool?: string;
  verdict: string;
  score: number;
}

function GuardrailTable({ receipt }: { receipt: Receipt }) {
  const { t } = useTranslation();
  const verdicts = receipt.guardrails as unknown as Verdict[];
  if (verdicts.length === 0) return null;
  return (
    <Table
      caption={t("chat.guardrails")}
      showCaption
      rows={verdicts.map((verdict, index) => ({ ...verdict, index }))}
      rowKey={({ index }) => String(index)}
      columns={[
        { key: "guard", title: t("chat.guard"), cell: ({ guard }) => codeLabel("guards", guard) },
        {
          key: "where",
          title: t("chat.checkedPart"),
          cell: ({ where, tool }) =>
            codeLabel("checkedParts", where) + (tool ? `: ${sanitizeLine(tool)}` : ""),
        },
        { key: "verdict", title: t("chat.verdict"), cell: ({ verdict }) => codeLabel("verdicts", verdict) },
        { key: "score", title: t("chat.score"), numeric: true, cell: ({ score }) => formatNumber(score, 2) },
      ]}
    />
  );
}
