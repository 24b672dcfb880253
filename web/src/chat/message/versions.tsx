import { useTranslation } from "react-i18next";
import type { Message } from "../../api/types";
import { IconButton } from "../../ui/button";
import { placeOf } from "../branches";

interface VersionsProps {
  message: Pick<Message, "id" | "siblings">;
  disabled: boolean;
  onRead: (messageId: string) => void;
}

/** Goes through the versions of a question or an answer. */
export function Versions({ message, disabled, onRead }: VersionsProps) {
  const { t } = useTranslation();
  const place = placeOf(message);
  if (!place) return null;
  const { at, of, previous, next } = place;
  return (
    <span className="inline-flex items-center text-sm text-ink-soft">
      <IconButton
        icon="left"
        label={t("chat.previous")}
        disabled={disabled || !previous}
        onClick={() => previous && onRead(previous)}
      />
      <span className="tabular-nums">
        <span aria-hidden="true">
          {at} / {of}
        </span>
        <span className="unseen">{t("chat.versions", { at, of })}</span>
      </span>
      <IconButton
        icon="right"
        label={t("chat.next")}
        disabled={disabled || !next}
        onClick={() => next && onRead(next)}
      />
    </span>
  );
}
