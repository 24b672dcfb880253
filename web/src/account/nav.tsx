import { useTranslation } from "react-i18next";
import { SectionNav } from "../layout/section-nav";

export function AccountNav() {
  const { t } = useTranslation();
  return (
    <SectionNav
      label={t("account.title")}
      items={[
        { to: "/", icon: "chevron-left", label: t("common.goToChat"), end: true },
        { to: "/account", icon: "user", label: t("account.nav.profile"), end: true },
        { to: "/account/password", icon: "shield", label: t("account.nav.security") },
        { to: "/account/sessions", icon: "settings", label: t("account.nav.sessions") },
        { to: "/account/keys", icon: "key", label: t("account.nav.keys") },
        { to: "/account/usage", icon: "chart", label: t("account.nav.usage") },
        { to: "/account/data", icon: "receipt", label: t("account.nav.data") },
      ]}
    />
  );
}
