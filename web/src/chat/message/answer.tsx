import { memo, useState } from "react";
import { useTranslation } from "react-i18next";
import { IconButton } from "../../ui/button";
import { CopyButton } from "../../ui/copy-button";
import { Markdown } from "../markdown/markdown";
import { type AnswerView, IN_PROGRESS } from "./answer-view";
import { AnswerMetadata } from "./metadata";
import { ReceiptDialog } from "./receipt-dialog";
import { SiblingNav } from "./sibling-nav";
import { AnswerStatus } from "./status";
import { ToolSteps } from "./tool-steps";

interface AnswerProps {
  view: AnswerView;
  busy: boolean;
  onRegenerate: (messageId: string) => void;
  onSwitchBranch: (messageId: string) => void;
}

export const Answer = memo(function Answer({ view, busy, onRegenerate, onSwitchBranch }: AnswerProps) {
  const { t } = useTranslation();
  const [showReceipt, setShowReceipt] = useState(false);
  const inProgress = IN_PROGRESS.has(view.state);
  return (
    <article
      aria-label={t("chat.assistant")}
      aria-busy={inProgress}
      data-message={view.id ?? undefined}
      className="flex flex-col"
    >
      <h2 className="sr-only">{t("chat.assistant")}</h2>
      {view.reasoning && <Reasoning text={view.reasoning} thinking={inProgress && !view.text} />}
      <ToolSteps steps={view.toolSteps} />
      {view.detailsTruncated && <p className="mb-3 text-xs text-ink-soft">{t("chat.detailsTruncated")}</p>}
      {view.text && <Markdown text={view.text} streaming={inProgress} />}
      <AnswerStatus view={view} />
      {!inProgress && (
        <div className="mt-1 flex flex-wrap items-center gap-x-1 text-ink-soft">
          {view.siblings && (
            <SiblingNav message={view.siblings} disabled={busy} onSwitchBranch={onSwitchBranch} />
          )}
          {view.text && <CopyButton text={view.text} label={t("chat.copyAnswer")} />}
          {view.id && (
            <IconButton
              icon="refresh"
              label={t("chat.regenerate")}
              disabled={busy}
              onClick={() => view.id && onRegenerate(view.id)}
            />
          )}
          {view.receipt && (
            <IconButton icon="receipt" label={t("chat.details")} onClick={() => setShowReceipt(true)} />
          )}
          <AnswerMetadata view={view} />
        </div>
      )}
      {showReceipt && view.receipt && (
        <ReceiptDialog view={view} receipt={view.receipt} onClose={() => setShowReceipt(false)} />
      )}
    </article>
  );
});

/** The model's reasoning; open until the answer's text starts. */
function Reasoning({ text, thinking }: { text: string; thinking: boolean }) {
  const { t } = useTranslation();
  return (
    <details className="mb-3 rounded-sm border border-line bg-panel text-sm" open={thinking}>
      <summary className="min-h-9 px-3 py-1.5 leading-6 text-ink-soft">
        {thinking ? t("chat.thinking") : t("chat.reasoning")}
      </summary>
      <div className="border-t border-line px-3 py-2 whitespace-pre-wrap text-ink-soft">{text}</div>
    </details>
  );
}
