import { type ReactNode, type Ref, useEffect, useImperativeHandle, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { useSubmitOnEnter } from "../../lib/use-submit-on-enter";
import { IconButton } from "../../ui/button";
import { readDraft, saveDraft } from "./drafts";

export interface ComposerHandle {
  /** Sets the text if the field is empty, and focuses the field. */
  insertIfEmpty: (text: string) => void;
  focus: () => void;
}

interface ComposerProps {
  /** Identifies the draft: a conversation's id or `NEW_CONVERSATION`. */
  conversationKey: string;
  ref?: Ref<ComposerHandle>;
  running: boolean;
  stopping: boolean;
  onSend: (text: string) => void;
  onStop: () => void;
  /** Controls below the field: model, tools, instructions. */
  children: ReactNode;
}

export function Composer({
  ref,
  conversationKey,
  running,
  stopping,
  onSend,
  onStop,
  children,
}: ComposerProps) {
  const { t } = useTranslation();
  const [text, setText] = useDraft(conversationKey);
  const field = useRef<HTMLTextAreaElement>(null);
  const empty = text.trim() === "";
  const send = () => {
    if (empty || running) return;
    onSend(text);
    setText("");
  };
  useSubmitOnEnter(field, send);
  useImperativeHandle(ref, () => ({
    insertIfEmpty: (inserted) => {
      if (empty) setText(inserted);
      field.current?.focus();
    },
    focus: () => field.current?.focus(),
  }));
  // Not on touch devices, where focus would open the on-screen keyboard.
  useEffect(() => {
    if (!matchMedia("(pointer: coarse)").matches) field.current?.focus();
  }, []);
  return (
    <div className="rounded-lg border border-line-strong bg-raised focus-within:border-accent">
      <textarea
        ref={field}
        aria-label={t("chat.message")}
        aria-describedby="enter-hint"
        data-shortcut="message"
        placeholder={t("chat.placeholder")}
        rows={1}
        maxLength={1_000_000}
        value={text}
        onChange={(event) => setText(event.target.value)}
        className="field-sizing-content block max-h-[40dvh] min-h-12 w-full resize-none bg-transparent px-4 pt-3 outline-none placeholder:text-ink-soft"
      />
      <p id="enter-hint" className="sr-only">
        {t("chat.enterHint")}
      </p>
      <div className="flex flex-wrap items-center gap-1 p-2">
        {children}
        <span className="flex-1" />
        {running ? (
          <IconButton
            icon="stop"
            label={stopping ? t("chat.stopping") : t("chat.stop")}
            variant="primary"
            className="size-9"
            disabled={stopping}
            data-shortcut="stop"
            onClick={onStop}
          />
        ) : (
          <IconButton
            icon="send"
            label={t("chat.send")}
            variant="primary"
            className="size-9"
            disabled={empty}
            onClick={send}
          />
        )}
      </div>
    </div>
  );
}

function useDraft(conversationKey: string): [string, (text: string) => void] {
  const [current, setCurrent] = useState({ conversationKey, text: readDraft(conversationKey) });
  const text = current.conversationKey === conversationKey ? current.text : readDraft(conversationKey);
  const setText = (changed: string) => {
    saveDraft(conversationKey, changed);
    setCurrent({ conversationKey, text: changed });
  };
  return [text, setText];
}
