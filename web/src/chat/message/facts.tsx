import { useTranslation } from "react-i18next";
import { formatDuration, formatMoney } from "../../lib/format";
import { plainLine } from "../../lib/text";
import { type AnswerView, duration } from "./view";

/** The answer's model and why it was chosen, tokens, cost and time in one line. */
export function Facts({ view }: { view: AnswerView }) {
  const { t } = useTranslation();
  if (!view.model) return null;
  const facts = [
    view.provider === "local" ? `${view.model} (${t("chat.smallAnswer")})` : view.model,
    plainLine(view.reason),
    view.tokens > 0 && t("chat.tokens", { count: view.tokens }),
    view.costUsd !== null && Number(view.costUsd) > 0 && formatMoney(view.costUsd),
    view.receipt && formatDuration(duration(view.receipt)),
  ].filter(Boolean);
  return <span className="min-w-0 px-1 text-xs">{facts.join(" · ")}</span>;
}
