import { useTranslation } from "react-i18next";
import { CopyButton } from "./copy-button";

/** A request id with a copy button, for searching the logs and the administration pages. */
export function RequestId({ id }: { id: string }) {
  const { t } = useTranslation();
  return (
    <p className="mt-1 flex flex-wrap items-center gap-1 text-ink-soft">
      <span className="font-mono text-xs">{t("errors.requestId", { id })}</span>
      <CopyButton text={id} label={t("errors.copyRequestId")} />
    </p>
  );
}
