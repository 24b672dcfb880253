import { useTranslation } from "react-i18next";
import { Navigate, Route, Routes } from "react-router";
import { NotFound } from "../layout/failures";
import { TopBar } from "../layout/shell";
import { AuditLog } from "./audit";
import { ModelsPage } from "./models";
import { Overview } from "./overview";
import { RequestsPage } from "./requests";
import { UsagePage } from "./usage";
import { UsersPage } from "./users";

/** The administrators' pages; one chunk, loaded when the first of them is opened. */
export default function AdminPages() {
  const { t } = useTranslation();
  return (
    <>
      <TopBar part={t("common.administration")} />
      <Routes>
        <Route index element={<Overview />} />
        <Route path="usage" element={<UsagePage />} />
        <Route path="users" element={<UsersPage />} />
        <Route path="requests" element={<RequestsPage />} />
        <Route path="models" element={<ModelsPage />} />
        {/* Where the breakers had a page of their own. */}
        <Route path="breakers" element={<Navigate to="/admin/models" replace />} />
        <Route path="audit" element={<AuditLog />} />
        <Route path="*" element={<NotFound />} />
      </Routes>
    </>
  );
}
