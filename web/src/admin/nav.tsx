import { useTranslation } from "react-i18next";
import { SectionNav } from "../layout/section-nav";

export function AdminNav() {
  const { t } = useTranslation();
  return (
    <SectionNav
      label={t("admin.title")}
      entries={[{ to: "/", icon: "left", label: t("common.toChat"), end: true }]}
    />
  );
}
