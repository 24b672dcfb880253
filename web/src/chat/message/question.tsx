import { memo, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import type { Message } from "../../api/types";
import { Button, IconButton } from "../../ui/button";
import { CopyButton } from "../../ui/copy-button";
import { INPUT } from "../../ui/field";
import { LongText } from "../../ui/long-text";
import { useEnter } from "../composer/use-enter";
import { Versions } from "./versions";

interface QuestionProps {
  text: string;
  /** The message as it is kept; null while it is being sent. */
  message: Message | null;
  busy: boolean;
  onEdit: (message: Message, text: string) => void;
  onRead: (messageId: string) => void;
}

export const Question = memo(function Question({ text, message, busy, onEdit, onRead }: QuestionProps) {
  const { t } = useTranslation();
  const [editing, setEditing] = useState(false);
  return (
    <article aria-label={t("chat.you")} data-message={message?.id} className="flex flex-col items-end gap-1">
      {editing && message ? (
        <Editor
          text={text}
          onCancel={() => setEditing(false)}
          onSend={(changed) => {
            setEditing(false);
            onEdit(message, changed);
          }}
        />
      ) : (
        <div className="max-w-[85%] rounded-lg bg-accent-soft px-4 py-2.5 whitespace-pre-wrap">
          <LongText text={text} />
        </div>
      )}
      {message && !editing && (
        <div className="flex items-center">
          <Versions message={message} disabled={busy} onRead={onRead} />
          <CopyButton text={text} label={t("chat.copyQuestion")} />
          <IconButton
            icon="edit"
            label={t("chat.editQuestion")}
            disabled={busy}
            data-shortcut="edit"
            onClick={() => setEditing(true)}
          />
        </div>
      )}
    </article>
  );
});

function Editor({
  text,
  onSend,
  onCancel,
}: {
  text: string;
  onSend: (text: string) => void;
  onCancel: () => void;
}) {
  const { t } = useTranslation();
  const [changed, setChanged] = useState(text);
  const field = useRef<HTMLTextAreaElement>(null);
  const send = () => changed.trim() && onSend(changed);
  useEnter(field, send);
  return (
    <div className="flex w-full flex-col gap-2">
      <textarea
        ref={field}
        // biome-ignore lint/a11y/noAutofocus: the field takes the place of the button that was pressed.
        autoFocus
        aria-label={t("chat.editQuestion")}
        value={changed}
        onChange={(event) => setChanged(event.target.value)}
        onKeyDown={(event) => event.key === "Escape" && onCancel()}
        className={`${INPUT} field-sizing-content max-h-[40dvh]`}
      />
      <div className="flex justify-end gap-2">
        <Button small onClick={onCancel}>
          {t("common.cancel")}
        </Button>
        <Button small kind="primary" disabled={!changed.trim()} onClick={send}>
          {t("chat.resend")}
        </Button>
      </div>
    </div>
  );
}
