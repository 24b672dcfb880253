import { useTranslation } from "react-i18next";
import { TopBar } from "../layout/shell";
import { useTitle } from "../ui/page";

export default function ChatPage() {
  const { t } = useTranslation();
  useTitle("");
  return <TopBar>{t("chat.title")}</TopBar>;
}
