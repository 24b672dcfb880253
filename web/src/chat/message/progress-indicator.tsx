import { useTranslation } from "react-i18next";
import { useElapsedSeconds } from "../../lib/use-elapsed-seconds";
import type { AnswerView } from "./answer-view";

/** After this time without data a message says that the connection is idle. */
const IDLE_SECONDS = 8;

/** The state of a running answer with the elapsed time; the seconds are hidden from screen readers. */
export function ProgressIndicator({ view }: { view: AnswerView }) {
  const { t } = useTranslation();
  const elapsedSeconds = useElapsedSeconds(view.sentAt || view.lastEventAt, true);
  const idleSeconds = useElapsedSeconds(view.lastEventAt, true);
  const label =
    view.state === "reconnecting"
      ? t("chat.reconnecting")
      : view.state === "writing"
        ? idleSeconds >= IDLE_SECONDS
          ? t("chat.idle", { count: idleSeconds })
          : t("chat.writing")
        : t(view.id ? "chat.waiting" : "chat.sending");
  return (
    <p className="flex items-center gap-2">
      <span aria-hidden="true" className="size-2 shrink-0 animate-pulse rounded-full bg-accent" />
      <span>{label}</span>
      {elapsedSeconds >= 3 && (
        <span aria-hidden="true" className="tabular-nums">
          {t("chat.elapsed", { count: elapsedSeconds })}
        </span>
      )}
    </p>
  );
}
