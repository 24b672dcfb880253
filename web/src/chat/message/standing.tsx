import { useTranslation } from "react-i18next";
import { sayCode } from "../../api/errors";
import { Notice } from "../../ui/notice";
import { RequestId } from "../../ui/request-id";
import { Alive } from "./alive";
import { type AnswerView, LIVE } from "./view";

/** What an answer is while it is none yet, and what became of one that did not end well. */
export function Standing({ view }: { view: AnswerView }) {
  const { t } = useTranslation();
  return (
    <div className="flex flex-col gap-2 text-sm text-ink-soft empty:hidden [&:not(:first-child)]:mt-3">
      {LIVE.has(view.state) && <Alive view={view} />}
      {view.replaced && <Notice kind="warning">{t("chat.status.replaced")}</Notice>}
      {view.state === "cancelled" && <Notice>{t("chat.status.cancelled")}</Notice>}
      {view.state === "interrupted" && <Notice kind="warning">{t("chat.status.interrupted")}</Notice>}
      {view.state === "failed" && <Failed view={view} />}
      {view.finishReason === "content_filter" && <Notice kind="warning">{t("chat.status.blocked")}</Notice>}
      {view.state === "complete" && view.finishReason === "length" && (
        <Notice>{t("chat.status.length")}</Notice>
      )}
      {view.state === "complete" && !view.text && <p>{t("chat.noText")}</p>}
    </div>
  );
}

function Failed({ view: { failure, model } }: { view: AnswerView }) {
  const { t } = useTranslation();
  return (
    <Notice kind="danger">
      <p>
        {t("chat.status.failed")} {failure && model && `${model}: `}
        {failure && sayCode(failure.code, failure.message)}
      </p>
      {failure?.requestId && <RequestId id={failure.requestId} />}
    </Notice>
  );
}
