import { memo, useState } from "react";
import { useTranslation } from "react-i18next";
import { IconButton } from "../../ui/button";
import { CopyButton } from "../../ui/copy-button";
import { Markdown } from "../markdown/markdown";
import { Facts } from "./facts";
import { ReceiptDialog } from "./receipt-dialog";
import { Standing } from "./standing";
import { Steps } from "./steps";
import { Versions } from "./versions";
import { type AnswerView, LIVE } from "./view";

interface AnswerProps {
  view: AnswerView;
  busy: boolean;
  onRegenerate: (messageId: string) => void;
  onRead: (messageId: string) => void;
}

export const Answer = memo(function Answer({ view, busy, onRegenerate, onRead }: AnswerProps) {
  const { t } = useTranslation();
  const [receipt, setReceipt] = useState(false);
  const live = LIVE.has(view.state);
  return (
    <article
      aria-label={t("chat.assistant")}
      aria-busy={live}
      data-message={view.id ?? undefined}
      className="flex flex-col"
    >
      <h2 className="unseen">{t("chat.assistant")}</h2>
      {view.reasoning && (
        <details className="mb-3 rounded-sm border border-line bg-panel text-sm" open={live && !view.text}>
          <summary className="min-h-9 px-3 py-1.5 leading-6 text-ink-soft">
            {live && !view.text ? t("chat.thinking") : t("chat.thoughts")}
          </summary>
          <div className="border-t border-line px-3 py-2 whitespace-pre-wrap text-ink-soft">
            {view.reasoning}
          </div>
        </details>
      )}
      <Steps steps={view.steps} />
      {view.shortened && <p className="mb-3 text-xs text-ink-soft">{t("chat.shortened")}</p>}
      {view.text && <Markdown text={view.text} growing={live} />}
      <Standing view={view} />
      {!live && (
        <div className="mt-1 flex flex-wrap items-center gap-x-1 text-ink-soft">
          {view.siblings && <Versions message={view.siblings} disabled={busy} onRead={onRead} />}
          {view.text && <CopyButton text={view.text} label={t("chat.copyAnswer")} />}
          {view.id && (
            <IconButton
              icon="again"
              label={t("chat.regenerate")}
              disabled={busy}
              onClick={() => view.id && onRegenerate(view.id)}
            />
          )}
          {view.receipt && (
            <IconButton icon="receipt" label={t("chat.details")} onClick={() => setReceipt(true)} />
          )}
          <Facts view={view} />
        </div>
      )}
      {receipt && view.receipt && (
        <ReceiptDialog view={view} receipt={view.receipt} onClose={() => setReceipt(false)} />
      )}
    </article>
  );
});
