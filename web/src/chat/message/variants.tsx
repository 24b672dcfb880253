import { useTranslation } from "react-i18next";
import type { Message } from "../../api/types";
import { IconButton } from "../../ui/button";
import { siblingPosition } from "./branches";

interface VariantsProps {
  message: Pick<Message, "id" | "siblings">;
  disabled: boolean;
  onSwitchBranch: (messageId: string) => void;
}

/** Navigates between the variants of a question or an answer, which are branches of the conversation. */
export function Variants({ message, disabled, onSwitchBranch }: VariantsProps) {
  const { t } = useTranslation();
  const position = siblingPosition(message);
  if (!position) return null;
  const { index, count, previous, next } = position;
  return (
    <span className="inline-flex items-center text-sm text-ink-soft">
      <IconButton
        icon="chevron-left"
        label={t("chat.previousVariant")}
        disabled={disabled || !previous}
        onClick={() => previous && onSwitchBranch(previous)}
      />
      <span className="tabular-nums">
        <span aria-hidden="true">
          {index} / {count}
        </span>
        <span className="sr-only">{t("chat.variant", { index, total: count })}</span>
      </span>
      <IconButton
        icon="chevron-right"
        label={t("chat.nextVariant")}
        disabled={disabled || !next}
        onClick={() => next && onSwitchBranch(next)}
      />
    </span>
  );
}
