import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { Button, IconButton } from "./button";
import { announce } from "./live-region";

interface CopyButtonProps {
  text: string | (() => string);
  /** Accessible name that says what is copied; "Copy" by default. */
  label?: string;
  withText?: boolean;
}

export function CopyButton({ text, label, withText }: CopyButtonProps) {
  const [copied, setCopied] = useState(false);
  const { t } = useTranslation();
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 2000);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = async () => {
    await copyText(typeof text === "string" ? text : text());
    setCopied(true);
    announce(t("common.copied"));
  };
  const icon = copied ? "check" : "copy";
  const name = label ?? t("common.copy");
  return withText ? (
    <Button small variant="ghost" icon={icon} onClick={copy} aria-label={label}>
      {copied ? t("common.copied") : t("common.copy")}
    </Button>
  ) : (
    <IconButton icon={icon} label={name} onClick={copy} />
  );
}

/** Copies a text; the Clipboard API needs a secure context, so plain http falls back to `execCommand`. */
export async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return;
    } catch {
      // Permission denied: use the fallback.
    }
  }
  const textarea = document.createElement("textarea");
  textarea.value = text;
  textarea.className = "sr-only";
  document.body.append(textarea);
  textarea.select();
  document.execCommand("copy");
  textarea.remove();
}
