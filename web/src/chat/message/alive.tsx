import { useTranslation } from "react-i18next";
import { useSeconds } from "../../lib/use-seconds";
import type { AnswerView } from "./view";

/** Silence that is worth a word: a model that thinks says nothing for some seconds. */
const QUIET_SECONDS = 8;

/** That an answer is being made, for how long, and whether anything still comes; not read aloud each second. */
export function Alive({ view }: { view: AnswerView }) {
  const { t } = useTranslation();
  const total = useSeconds(view.sentAt || view.heardAt, true);
  const quiet = useSeconds(view.heardAt, true);
  const what =
    view.state === "reconnecting"
      ? t("chat.reconnecting")
      : view.state === "writing"
        ? quiet >= QUIET_SECONDS
          ? t("chat.quiet", { count: quiet })
          : t("chat.writing")
        : t(view.id ? "chat.waiting" : "chat.sending");
  return (
    <p className="flex items-center gap-2">
      <span aria-hidden="true" className="size-2 shrink-0 animate-pulse rounded-full bg-accent" />
      <span>{what}</span>
      {total >= 3 && (
        <span aria-hidden="true" className="tabular-nums">
          {t("chat.elapsed", { count: total })}
        </span>
      )}
    </p>
  );
}
