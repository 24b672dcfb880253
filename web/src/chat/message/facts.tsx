import { useTranslation } from "react-i18next";
import { formatDuration, formatMoney } from "../../lib/format";
import { type AnswerView, duration } from "./view";

/** The answer's model, tokens, cost and time in one line. */
export function Facts({ view }: { view: AnswerView }) {
  const { t } = useTranslation();
  if (!view.model) return null;
  const facts = [
    view.provider === "local" ? `${view.model} (${t("chat.smallAnswer")})` : view.model,
    view.tokens > 0 && t("chat.tokens", { count: view.tokens }),
    view.costUsd !== null && Number(view.costUsd) > 0 && formatMoney(view.costUsd),
    view.receipt && formatDuration(duration(view.receipt)),
  ].filter(Boolean);
  return (
    <span className="px-1 text-xs" title={view.reason}>
      {facts.join(" · ")}
    </span>
  );
}
