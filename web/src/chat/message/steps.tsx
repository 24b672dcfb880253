import { useTranslation } from "react-i18next";
import { sayName } from "../../lib/codes";
import { formatDuration } from "../../lib/format";
import { plainLine, showTricks } from "../../lib/text";
import { Icon } from "../../ui/icon";
import { LongText } from "../../ui/long-text";
import type { ToolStep } from "../stream/turn";

/** What tools were asked for and what they said. */
export function Steps({ steps }: { steps: readonly ToolStep[] }) {
  if (steps.length === 0) return null;
  return (
    <div className="mb-3 flex flex-col gap-1.5">
      {steps.map((step) => (
        <Step key={step.id} step={step} />
      ))}
    </div>
  );
}

function Step({ step }: { step: ToolStep }) {
  const { t } = useTranslation();
  const { result } = step;
  const name = sayName("tools", plainLine(step.name));
  const title = !result
    ? t("chat.calling", { name })
    : t(result.ok ? "chat.called" : "chat.toolFailed", { name });
  return (
    <details className="rounded-sm border border-line bg-panel text-sm">
      <summary className="flex min-h-9 items-center gap-2 px-3">
        <span className={result && !result.ok ? "text-danger" : "text-ink-soft"}>
          <Icon name={result && !result.ok ? "warning" : "tool"} size={16} />
        </span>
        <span className="min-w-0 flex-1 truncate">{title}</span>
        {result && <span className="text-xs text-ink-soft tabular-nums">{formatDuration(result.ms)}</span>}
        <Icon name="down" size={14} />
      </summary>
      <div className="flex flex-col gap-2 border-t border-line p-3">
        {step.arguments && <Text label={t("chat.toolArguments")} text={pretty(step.arguments)} />}
        {result?.content ? (
          <Text label={t("chat.toolResult")} text={result.content} />
        ) : (
          result && <p className="text-ink-soft">{t("chat.toolNoResult")}</p>
        )}
      </div>
    </details>
  );
}

function Text({ label, text }: { label: string; text: string }) {
  return (
    <div>
      <p className="text-xs text-ink-soft">{label}</p>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls has to be reached by keyboard. */}
      <pre tabIndex={0} className="max-h-64 overflow-auto text-xs whitespace-pre-wrap">
        <LongText text={showTricks(text)} />
      </pre>
    </div>
  );
}

function pretty(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}
