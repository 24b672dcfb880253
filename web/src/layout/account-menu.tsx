import i18next from "i18next";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import { chooseLanguage, LANGUAGES, type Language } from "../i18n";
import { plainLine } from "../lib/text";
import { chooseTheme, currentTheme, type Theme } from "../lib/theme";
import { useSession, useUser } from "../session/session";
import { Icon } from "../ui/icon";
import { Menu, MenuChoice, MenuItem, MenuLine } from "../ui/menu";
import { toastError } from "../ui/toast";

export function AccountMenu() {
  const { t } = useTranslation();
  const user = useUser();
  const { signOut } = useSession();
  const navigate = useNavigate();
  const [theme, setTheme] = useState<Theme>(currentTheme);
  const name = plainLine(user.name) || user.email;
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
      <MenuLine />
      <MenuChoice
        label={t("common.theme")}
        value={theme}
        choices={t("common.themes", { returnObjects: true })}
        onChoose={(chosen) => {
          setTheme(chosen);
          chooseTheme(chosen);
        }}
      />
      <MenuChoice
        label={t("common.language")}
        value={(i18next.resolvedLanguage ?? "en") as Language}
        choices={LANGUAGES}
        onChoose={(language) => void chooseLanguage(language)}
      />
      <MenuLine />
      <MenuItem icon="out" onClick={() => void signOut().catch(toastError)}>
        {t("session.signOut")}
      </MenuItem>
    </Menu>
  );
}
