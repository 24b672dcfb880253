import { useTranslation } from "react-i18next";
import { SectionNav } from "../layout/section-nav";

export function AccountNav() {
  const { t } = useTranslation();
  return (
    <SectionNav
      label={t("account.title")}
      entries={[{ to: "/", icon: "left", label: t("common.toChat"), end: true }]}
    />
  );
}
