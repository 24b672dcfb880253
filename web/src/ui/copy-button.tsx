import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { announce } from "./announcer";
import { Button, IconButton } from "./button";

interface CopyButtonProps {
  text: string | (() => string);
  /** What it copies, for screen readers; without it the button has only its icon and "Copy". */
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
    <Button small kind="quiet" icon={icon} onClick={copy} aria-label={label}>
      {copied ? t("common.copied") : t("common.copy")}
    </Button>
  ) : (
    <IconButton icon={icon} label={name} onClick={copy} />
  );
}

/** The clipboard is closed to pages on plain http; there the old command has to do. */
export async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return;
    } catch {
      // not allowed here: the old way
    }
  }
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "unseen";
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
