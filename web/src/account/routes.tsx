import { useTranslation } from "react-i18next";
import { Route, Routes } from "react-router";
import { NotFoundPage } from "../layout/not-found";
import { TopBar } from "../layout/shell";
import { ApiKeysPage } from "./api-keys";
import { DataExportPage } from "./data-export";
import { PasswordPage } from "./password";
import { ProfilePage } from "./profile";
import { SessionsPage } from "./sessions";
import { UsagePage } from "./usage";

/** The account pages; one chunk, loaded when the first of them is opened. */
export default function AccountRoutes() {
  const { t } = useTranslation();
  return (
    <>
      <TopBar section={t("account.title")} />
      <Routes>
        <Route index element={<ProfilePage />} />
        <Route path="password" element={<PasswordPage />} />
        <Route path="sessions" element={<SessionsPage />} />
        <Route path="keys" element={<ApiKeysPage />} />
        <Route path="usage" element={<UsagePage />} />
        <Route path="data" element={<DataExportPage />} />
        <Route path="*" element={<NotFoundPage />} />
      </Routes>
    </>
  );
}
