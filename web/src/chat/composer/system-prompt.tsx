import { type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { Button } from "../../ui/button";
import { Dialog } from "../../ui/dialog";
import { Field, INPUT_CLASS } from "../../ui/field";
import { Icon } from "../../ui/icon";

interface SystemPromptProps {
  value: string;
  onChange: (text: string) => Promise<unknown>;
}

export function SystemPrompt({ value, onChange }: SystemPromptProps) {
  const { t } = useTranslation();
  const [open, setOpen] = useState(false);
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    setBusy(true);
    try {
      await onChange(String(new FormData(event.currentTarget).get("system")).trim());
      setOpen(false);
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      <SystemPromptButton isSet={value !== ""} onClick={() => setOpen(true)} />
      <Dialog open={open} title={t("chat.systemPromptTitle")} onClose={() => setOpen(false)} wide>
        <form onSubmit={submit} className="flex flex-col gap-4">
          <Field label={t("chat.systemPrompt")} hint={t("chat.systemPromptHint")}>
            {(controlProps) => (
              <textarea
                {...controlProps}
                name="system"
                rows={8}
                maxLength={100_000}
                defaultValue={value}
                placeholder={t("chat.systemPromptPlaceholder")}
                className={INPUT_CLASS}
              />
            )}
          </Field>
          <div className="flex justify-end gap-2">
            <Button onClick={() => setOpen(false)}>{t("common.cancel")}</Button>
            <Button variant="primary" type="submit" busy={busy}>
              {t("common.save")}
            </Button>
          </div>
        </form>
      </Dialog>
    </>
  );
}

function SystemPromptButton({ isSet, onClick }: { isSet: boolean; onClick: () => void }) {
  const { t } = useTranslation();
  const label = isSet ? t("chat.systemPromptSet") : t("chat.systemPrompt");
  return (
    <button
      type="button"
      aria-label={label}
      title={label}
      onClick={onClick}
      className="inline-flex min-h-8 items-center gap-2 rounded-sm px-2 text-sm text-ink-soft hover:bg-hover hover:text-ink"
    >
      <span className="max-sm:hidden">
        <Icon name="edit" />
      </span>
      <span className="max-sm:text-xs">{t("chat.systemPrompt")}</span>
      {isSet && <span className="size-1.5 rounded-full bg-accent" />}
    </button>
  );
}
