import { useTranslation } from "react-i18next";
import { SectionNav } from "../layout/section-nav";

export function AdminNav() {
  const { t } = useTranslation();
  return (
    <SectionNav
      label={t("common.administration")}
      items={[
        { to: "/", icon: "chevron-left", label: t("common.goToChat"), end: true },
        { to: "/admin", icon: "chart", label: t("admin.nav.overview"), end: true },
        { to: "/admin/usage", icon: "receipt", label: t("admin.nav.usage") },
        { to: "/admin/users", icon: "user", label: t("admin.nav.users") },
        { to: "/admin/requests", icon: "search", label: t("admin.nav.requests") },
        { to: "/admin/models", icon: "model", label: t("admin.nav.models") },
        { to: "/admin/audit", icon: "info", label: t("admin.nav.audit") },
      ]}
    />
  );
}
