import { useTranslation } from "react-i18next";
import { TopBar } from "../layout/shell";
import { Page } from "../ui/page";

export default function AdminPages() {
  const { t } = useTranslation();
  return (
    <>
      <TopBar />
      <Page title={t("admin.title")}>{null}</Page>
    </>
  );
}
