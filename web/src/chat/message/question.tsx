import { memo, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import type { Message } from "../../api/types";
import { useSubmitOnEnter } from "../../lib/use-submit-on-enter";
import { Button, IconButton } from "../../ui/button";
import { CopyButton } from "../../ui/copy-button";
import { INPUT_CLASS } from "../../ui/field";
import { TruncatedText } from "../../ui/truncated-text";
import { SiblingNav } from "./sibling-nav";

interface QuestionProps {
  text: string;
  /** The stored message; null while it is being sent. */
  message: Message | null;
  busy: boolean;
  onEdit: (message: Message, text: string) => void;
  onSwitchBranch: (messageId: string) => void;
}

export const Question = memo(function Question({
  text,
  message,
  busy,
  onEdit,
  onSwitchBranch,
}: QuestionProps) {
  const { t } = useTranslation();
  const [editing, setEditing] = useState(false);
  return (
    <article aria-label={t("chat.you")} data-message={message?.id} className="flex flex-col items-end gap-1">
      {editing && message ? (
        <QuestionEditor
          text={text}
          onCancel={() => setEditing(false)}
          onSend={(changed) => {
            setEditing(false);
            onEdit(message, changed);
          }}
        />
      ) : (
        <div className="max-w-[85%] rounded-lg bg-accent-soft px-4 py-2.5 whitespace-pre-wrap">
          <TruncatedText text={text} />
        </div>
      )}
      {message && !editing && (
        <div className="flex items-center">
          <SiblingNav message={message} disabled={busy} onSwitchBranch={onSwitchBranch} />
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

function QuestionEditor({
  text,
  onSend,
  onCancel,
}: {
  text: string;
  onSend: (text: string) => void;
  onCancel: () => void;
}) {
  const { t } = useTranslation();
  const [draft, setDraft] = useState(text);
  const field = useRef<HTMLTextAreaElement>(null);
  const send = () => draft.trim() && onSend(draft);
  useSubmitOnEnter(field, send);
  return (
    <div className="flex w-full flex-col gap-2">
      <textarea
        ref={field}
        // biome-ignore lint/a11y/noAutofocus: the field replaces the button that was pressed.
        autoFocus
        aria-label={t("chat.editQuestion")}
        value={draft}
        onChange={(event) => setDraft(event.target.value)}
        onKeyDown={(event) => event.key === "Escape" && onCancel()}
        className={`${INPUT_CLASS} field-sizing-content max-h-[40dvh]`}
      />
      <div className="flex justify-end gap-2">
        <Button small onClick={onCancel}>
          {t("common.cancel")}
        </Button>
        <Button small variant="primary" disabled={!draft.trim()} onClick={send}>
          {t("chat.resend")}
        </Button>
      </div>
    </div>
  );
}
