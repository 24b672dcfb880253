import { useTranslation } from "react-i18next";
import type { AnswerView } from "./answer-view";

/** The answer's model; all other metadata is in the receipt dialog. */
export function AnswerMetadata({ view }: { view: AnswerView }) {
  const { t } = useTranslation();
  if (!view.model) return null;
  const name = view.provider === "local" ? `${view.model} (${t("chat.localModel.label")})` : view.model;
  return <span className="min-w-0 px-1 text-xs">{name}</span>;
}
