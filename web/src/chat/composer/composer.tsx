import { type ReactNode, type Ref, useEffect, useImperativeHandle, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { IconButton } from "../../ui/button";
import { draftOf, keepDraft } from "./drafts";
import { useEnter } from "./use-enter";

export interface ComposerHandle {
  /** Puts a text into the field, where it has none, and the cursor behind it. */
  offer: (text: string) => void;
  focus: () => void;
}

interface ComposerProps {
  /** The conversation, or where one is begun: each has its own draft. */
  place: string;
  ref?: Ref<ComposerHandle>;
  running: boolean;
  stopping: boolean;
  onSend: (text: string) => void;
  onStop: () => void;
  /** Choices below the field: model, tools, instructions. */
  children: ReactNode;
}

export function Composer({ ref, place, running, stopping, onSend, onStop, children }: ComposerProps) {
  const { t } = useTranslation();
  const [text, setText] = useDraft(place);
  const field = useRef<HTMLTextAreaElement>(null);
  const empty = text.trim() === "";
  const send = () => {
    if (empty || running) return;
    onSend(text);
    setText("");
  };
  useEnter(field, send);
  useImperativeHandle(ref, () => ({
    offer: (offered) => {
      if (empty) setText(offered);
      field.current?.focus();
    },
    focus: () => field.current?.focus(),
  }));
  // A keyboard that is not on glass: typing can begin at once.
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
      <p id="enter-hint" className="unseen">
        {t("chat.enterHint")}
      </p>
      <div className="flex flex-wrap items-center gap-1 p-2">
        {children}
        <span className="flex-1" />
        {running ? (
          <IconButton
            icon="stop"
            label={stopping ? t("chat.stopping") : t("chat.stop")}
            kind="primary"
            className="size-9"
            disabled={stopping}
            data-shortcut="stop"
            onClick={onStop}
          />
        ) : (
          <IconButton
            icon="send"
            label={t("chat.send")}
            kind="primary"
            className="size-9"
            disabled={empty}
            onClick={send}
          />
        )}
      </div>
    </div>
  );
}

function useDraft(place: string): [string, (text: string) => void] {
  const [shown, setShown] = useState({ place, text: draftOf(place) });
  const text = shown.place === place ? shown.text : draftOf(place);
  const setText = (changed: string) => {
    keepDraft(place, changed);
    setShown({ place, text: changed });
  };
  return [text, setText];
}
