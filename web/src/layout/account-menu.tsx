import i18next from "i18next";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import { LANGUAGES, type Language, setLanguage } from "../i18n";
import { sanitizeLine } from "../lib/text";
import { saveTheme, storedTheme, type Theme } from "../lib/theme";
import { useSession, useUser } from "../session/session-provider";
import { Icon } from "../ui/icon";
import { Menu, MenuItem, MenuRadioGroup, MenuSeparator } from "../ui/menu";
import { toastError } from "../ui/toast";

export function AccountMenu() {
  const { t } = useTranslation();
  const user = useUser();
  const { signOut } = useSession();
  const navigate = useNavigate();
  const name = sanitizeLine(user.name) || user.email;
  return (
    <Menu
      label={t("common.menu")}
      className="w-full justify-start py-1.5 text-left"
      button={
        <>
          <Icon name="user" />
          <span className="min-w-0 flex-1 truncate text-ink">{name}</span>
          <Icon name="more" />
        </>
      }
    >
      <MenuItem icon="chat" onClick={() => navigate("/")}>
        {t("chat.title")}
      </MenuItem>
      <MenuItem icon="settings" onClick={() => navigate("/account")}>
        {t("account.title")}
      </MenuItem>
      {user.role === "admin" && (
        <MenuItem icon="chart" onClick={() => navigate("/admin")}>
          {t("common.administration")}
        </MenuItem>
      )}
      <MenuSeparator />
      <ThemeAndLanguage />
      <MenuSeparator />
      <MenuItem icon="sign-out" onClick={() => void signOut().catch(toastError)}>
        {t("session.signOut")}
      </MenuItem>
    </Menu>
  );
}

function ThemeAndLanguage() {
  const { t } = useTranslation();
  const [theme, setTheme] = useState<Theme>(storedTheme);
  return (
    <>
      <MenuRadioGroup
        label={t("common.theme")}
        value={theme}
        options={t("common.themes", { returnObjects: true })}
        onChange={(selected) => {
          setTheme(selected);
          saveTheme(selected);
        }}
      />
      <MenuRadioGroup
        label={t("common.language")}
        value={(i18next.resolvedLanguage ?? "en") as Language}
        options={LANGUAGES}
        onChange={(language) => void setLanguage(language)}
      />
    </>
  );
}
