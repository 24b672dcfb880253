import { useTranslation } from "react-i18next";
import { errorCodeMessage } from "../../api/errors";
import { Notice } from "../../ui/notice";
import { RequestId } from "../../ui/request-id";
import { type AnswerView, IN_PROGRESS } from "./answer-view";
import { ProgressIndicator } from "./progress-indicator";

/** The progress of a running answer, or a notice about how it ended. */
export function AnswerStatus({ view }: { view: AnswerView }) {
  const { t } = useTranslation();
  return (
    <div className="flex flex-col gap-2 text-sm text-ink-soft empty:hidden [&:not(:first-child)]:mt-3">
      {IN_PROGRESS.has(view.state) && <ProgressIndicator view={view} />}
      {view.replacedReason && <Notice kind="warning">{t("chat.status.replaced")}</Notice>}
      {view.state === "cancelled" && <Notice>{t("chat.status.cancelled")}</Notice>}
      {view.state === "interrupted" && <Notice kind="warning">{t("chat.status.interrupted")}</Notice>}
      {view.state === "failed" && <FailedNotice view={view} />}
      {view.finishReason === "content_filter" && <Notice kind="warning">{t("chat.status.blocked")}</Notice>}
      {view.state === "complete" && view.finishReason === "length" && (
        <Notice>{t("chat.status.length")}</Notice>
      )}
      {view.state === "complete" && !view.text && <p>{t("chat.noText")}</p>}
    </div>
  );
}

function FailedNotice({ view: { error, model } }: { view: AnswerView }) {
  const { t } = useTranslation();
  return (
    <Notice kind="danger">
      <p>
        {t("chat.status.failed")} {error && model && `${model}: `}
        {error && errorCodeMessage(error.code, error.message)}
      </p>
      {error?.requestId && <RequestId id={error.requestId} />}
    </Notice>
  );
}
