import { useTranslation } from "react-i18next";
import { Navigate, Route, Routes } from "react-router";
import { NotFoundPage } from "../layout/not-found";
import { TopBar } from "../layout/shell";
import { AuditLogPage } from "./audit-log";
import { ModelsPage } from "./models";
import { OverviewPage } from "./overview";
import { RequestsPage } from "./requests";
import { UsagePage } from "./usage";
import { UsersPage } from "./users";

/** The administration pages; one chunk, loaded when the first of them is opened. */
export default function AdminRoutes() {
  const { t } = useTranslation();
  return (
    <>
      <TopBar section={t("common.administration")} />
      <Routes>
        <Route index element={<OverviewPage />} />
        <Route path="usage" element={<UsagePage />} />
        <Route path="users" element={<UsersPage />} />
        <Route path="requests" element={<RequestsPage />} />
        <Route path="models" element={<ModelsPage />} />
        {/* Former URL of the circuit breakers, which are now part of the models page. */}
        <Route path="breakers" element={<Navigate to="/admin/models" replace />} />
        <Route path="audit" element={<AuditLogPage />} />
        <Route path="*" element={<NotFoundPage />} />
      </Routes>
    </>
  );
}
