import { useTranslation } from "react-i18next";
import { Route, Routes } from "react-router";
import { NotFound } from "../layout/failures";
import { TopBar } from "../layout/shell";
import { DataPage } from "./data";
import { KeysPage } from "./keys";
import { PasswordPage } from "./password";
import { ProfilePage } from "./profile";
import { SessionsPage } from "./sessions";
import { UsagePage } from "./usage";

/** The pages of one's own account; one chunk, loaded when the first of them is opened. */
export default function AccountPages() {
  const { t } = useTranslation();
  return (
    <>
      <TopBar part={t("account.title")} />
      <Routes>
        <Route index element={<ProfilePage />} />
        <Route path="password" element={<PasswordPage />} />
        <Route path="sessions" element={<SessionsPage />} />
        <Route path="keys" element={<KeysPage />} />
        <Route path="usage" element={<UsagePage />} />
        <Route path="data" element={<DataPage />} />
        <Route path="*" element={<NotFound />} />
      </Routes>
    </>
  );
}
