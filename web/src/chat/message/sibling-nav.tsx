import { useTranslation } from "react-i18next";
import type { Message } from "../../api/types";
import { IconButton } from "../../ui/button";
import { siblingPosition } from "./branches";

interface SiblingNavProps {
  message: Pick<Message, "id" | "siblings">;
  disabled: boolean;
  onSwitchBranch: (messageId: string) => void;
}

/** Navigates between the siblings of a message: other versions of a question or an answer. */
export function SiblingNav({ message, disabled, onSwitchBranch }: SiblingNavProps) {
  const { t } = useTranslation();
  const position = siblingPosition(message);
  if (!position) return null;
  const { index, count, previous, next } = position;
  return (
    <span className="inline-flex items-center text-sm text-ink-soft">
      <IconButton
        icon="chevron-left"
        label={t("chat.previousSibling")}
        disabled={disabled || !previous}
        onClick={() => previous && onSwitchBranch(previous)}
      />
      <span className="tabular-nums">
        <span aria-hidden="true">
          {index} / {count}
        </span>
        <span className="sr-only">{t("chat.siblingPosition", { index, total: count })}</span>
      </span>
      <IconButton
        icon="chevron-right"
        label={t("chat.nextSibling")}
        disabled={disabled || !next}
        onClick={() => next && onSwitchBranch(next)}
      />
    </span>
  );
}
