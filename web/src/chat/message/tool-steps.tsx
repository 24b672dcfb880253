import { useTranslation } from "react-i18next";
import { codeLabel } from "../../i18n/code-labels";
import { formatDuration } from "../../lib/format";
import { escapeInvisible, sanitizeLine } from "../../lib/text";
import { Icon } from "../../ui/icon";
import { TruncatedText } from "../../ui/truncated-text";
import type { ToolStep } from "../stream/turn-reducer";

/** The tool calls of an answer with their arguments and results. */
export function ToolSteps({ steps }: { steps: readonly ToolStep[] }) {
  if (steps.length === 0) return null;
  return (
    <div className="mb-3 flex flex-col gap-1.5">
      {steps.map((step) => (
        <ToolStepDetails key={step.id} step={step} />
      ))}
    </div>
  );
}

function ToolStepDetails({ step }: { step: ToolStep }) {
  const { t } = useTranslation();
  const { result } = step;
  const name = codeLabel("tools", sanitizeLine(step.name));
  const title = !result
    ? t("chat.toolRunning", { name })
    : t(result.ok ? "chat.toolFinished" : "chat.toolFailed", { name });
  return (
    <details className="rounded-sm border border-line bg-panel text-sm">
      <summary className="flex min-h-9 items-center gap-2 px-3">
        <span className={result && !result.ok ? "text-danger" : "text-ink-soft"}>
          <Icon name={result && !result.ok ? "warning" : "tool"} size={16} />
        </span>
        <span className="min-w-0 flex-1 truncate">{title}</span>
        {result && <span className="text-xs text-ink-soft tabular-nums">{formatDuration(result.ms)}</span>}
        <Icon name="chevron-down" size={14} />
      </summary>
      <div className="flex flex-col gap-2 border-t border-line p-3">
        {step.arguments && <LabelledText label={t("chat.toolArguments")} text={prettyJson(step.arguments)} />}
        {result?.content ? (
          <LabelledText label={t("chat.toolResult")} text={result.content} />
        ) : (
          result && <p className="text-ink-soft">{t("chat.noToolResult")}</p>
        )}
      </div>
    </details>
  );
}

function LabelledText({ label, text }: { label: string; text: string }) {
  return (
    <div>
      <p className="text-xs text-ink-soft">{label}</p>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable region must be reachable by keyboard. */}
      <pre tabIndex={0} className="max-h-64 overflow-auto text-xs whitespace-pre-wrap">
        <TruncatedText text={escapeInvisible(text)} />
      </pre>
    </div>
  );
}

function prettyJson(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}
