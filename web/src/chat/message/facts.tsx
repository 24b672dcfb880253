import { useTranslation } from "react-i18next";
import type { AnswerView } from "./view";

/** The answer's model; everything else is in the receipt. */
export function Facts({ view }: { view: AnswerView }) {
  const { t } = useTranslation();
  if (!view.model) return null;
  const name = view.provider === "local" ? `${view.model} (${t("chat.smallAnswer")})` : view.model;
  return <span className="min-w-0 px-1 text-xs">{name}</span>;
}
