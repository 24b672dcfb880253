import { useTranslation } from "react-i18next";

export function Loading() {
  const { t } = useTranslation();
  return (
    <p role="status" className="px-4 py-10 text-center text-sm text-ink-soft">
      {t("common.loading")}
    </p>
  );
}
