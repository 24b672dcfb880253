import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { Attempt, Receipt } from "../../api/types";
import { sayName, sayOutcome } from "../../lib/codes";
import { formatDuration, formatMoney, formatNumber, formatPercent, moneyColumn } from "../../lib/format";
import { plainLine } from "../../lib/text";
import { CopyButton } from "../../ui/copy-button";
import { Dialog } from "../../ui/dialog";
import { RequestId } from "../../ui/request-id";
import { Table } from "../../ui/table";
import type { AnswerView } from "./view";

interface ReceiptProps {
  view: AnswerView;
  receipt: Receipt;
  onClose: () => void;
}

/** How an answer came about, to the last call. */
export function ReceiptDialog({ view, receipt, onClose }: ReceiptProps) {
  const { t } = useTranslation();
  const usage = receipt.attempts.reduce(
    (sum, { usage: { prompt_tokens, completion_tokens } }) => ({
      prompt: sum.prompt + prompt_tokens,
      completion: sum.completion + completion_tokens,
    }),
    { prompt: 0, completion: 0 },
  );
  const cache = String(receipt.cache?.result ?? "bypass") as "bypass";
  const judged = receipt.intent && receipt.intent_by;
  return (
    <Dialog open wide title={t("chat.details")} onClose={onClose}>
      <dl className="grid gap-x-6 gap-y-2 text-sm sm:grid-cols-[auto_1fr]">
        <Fact label={t("chat.model")}>
          {view.model} {view.provider && <span className="text-ink-soft">({view.provider})</span>}
        </Fact>
        <Fact label={t("chat.reason")}>
          <Why receipt={receipt} model={view.model} />
        </Fact>
        {judged && (
          <Fact label={t("chat.intent")}>
            {sayName("intents", receipt.intent)} · {formatPercent(receipt.intent_score)}
          </Fact>
        )}
        {judged && <Fact label={t("chat.complexity")}>{formatPercent(receipt.complexity)}</Fact>}
        <Fact label={t("chat.usage")}>
          {t("chat.usageParts", {
            prompt: formatNumber(usage.prompt),
            completion: formatNumber(usage.completion),
          })}
        </Fact>
        <Fact label={t("chat.cost")}>{formatMoney(view.costUsd ?? 0)}</Fact>
        {view.took !== null && <Fact label={t("chat.took")}>{formatDuration(view.took)}</Fact>}
        <Fact label={t("chat.cache")}>{t(`chat.caches.${cache}`)}</Fact>
        <Fact label={t("chat.overhead")}>{formatDuration(receipt.overhead_ms)}</Fact>
        <Fact label={t("chat.nodes")}>
          {Object.entries(receipt.nodes_ms)
            .map(([name, ms]) => `${sayName("nodes", name)} ${formatDuration(ms)}`)
            .join(" · ")}
        </Fact>
      </dl>
      {view.requestId && <RequestId id={view.requestId} />}
      <Attempts attempts={receipt.attempts} />
      <Guardrails receipt={receipt} />
      <details className="text-sm">
        <summary className="font-medium">{t("chat.whole")}</summary>
        <div className="mt-2 flex justify-end">
          <CopyButton text={() => JSON.stringify(receipt, null, 2)} withText />
        </div>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls has to be reached by keyboard. */}
        <pre tabIndex={0} className="max-h-96 overflow-auto rounded-sm bg-panel p-3 text-xs">
          {JSON.stringify(receipt, null, 2)}
        </pre>
      </details>
    </Dialog>
  );
}

/** Why this model, from what the receipt holds: what was asked for, what was judged, which calls failed. */
function Why({
  receipt: { alias, intent, complexity, attempts },
  model,
}: {
  receipt: Receipt;
  model: string;
}) {
  const { t } = useTranslation();
  const why =
    alias === model
      ? t("chat.why.named", { model })
      : alias !== "auto"
        ? t("chat.why.alias", { alias, model })
        : intent
          ? t("chat.why.judged", {
              intent: sayName("intents", intent),
              complexity: formatPercent(complexity),
            })
          : t("chat.why.auto");
  const failed = attempts.filter(({ step, outcome }) => step === "answer" && !GOOD.has(outcome));
  return (
    <>
      {why}
      {failed.map(({ model: one, outcome }, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the calls of an answer that has ended.
        <span key={index} className="block text-ink-soft">
          {t("chat.why.failed", { model: one, outcome: sayOutcome(outcome) })}
        </span>
      ))}
    </>
  );
}

const GOOD = new Set(["ok", "cached", "cancelled"]);

function Fact({ label, children }: { label: string; children: ReactNode }) {
  return (
    <>
      <dt className="text-ink-soft">{label}</dt>
      <dd>{children}</dd>
    </>
  );
}

function Attempts({ attempts }: { attempts: Attempt[] }) {
  const { t } = useTranslation();
  if (attempts.length === 0) return null;
  const money = moneyColumn(attempts.map(({ cost_usd }) => cost_usd));
  return (
    <Table
      caption={t("chat.attempts")}
      showCaption
      rows={attempts.map((attempt, index) => ({ ...attempt, index }))}
      rowKey={({ index }) => String(index)}
      columns={[
        { key: "model", title: t("chat.model"), cell: ({ model }) => model },
        { key: "step", title: t("chat.step"), cell: ({ step }) => t(`chat.steps.${step}`) },
        { key: "outcome", title: t("chat.outcome"), cell: ({ outcome }) => sayOutcome(outcome) },
        {
          key: "tokens",
          title: t("chat.usage"),
          numeric: true,
          cell: ({ usage }) => `${usage.prompt_tokens} + ${usage.completion_tokens}`,
        },
        { key: "cost", title: t("chat.cost"), numeric: true, cell: ({ cost_usd }) => money(cost_usd) },
        { key: "ms", title: t("chat.time"), numeric: true, cell: ({ ms }) => formatDuration(ms) },
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

function Guardrails({ receipt }: { receipt: Receipt }) {
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
        { key: "guard", title: t("chat.guard"), cell: ({ guard }) => sayName("guards", guard) },
        {
          key: "where",
          title: t("chat.where"),
          cell: ({ where, tool }) => sayName("places", where) + (tool ? `: ${plainLine(tool)}` : ""),
        },
        { key: "verdict", title: t("chat.verdict"), cell: ({ verdict }) => sayName("verdicts", verdict) },
        { key: "score", title: t("chat.score"), numeric: true, cell: ({ score }) => formatNumber(score, 2) },
      ]}
    />
  );
}
