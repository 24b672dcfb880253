import { Route, Routes } from "react-router";
import { NotFound } from "../layout/failures";
import { TopBar } from "../layout/shell";
import { AuditLog } from "./audit";
import { BreakersPage } from "./breakers";
import { ModelsPage } from "./models";
import { Overview } from "./overview";
import { UsagePage } from "./usage";
import { UsersPage } from "./users";

/** The administrators' pages; one chunk, loaded when the first of them is opened. */
export default function AdminPages() {
  return (
    <>
      <TopBar />
      <Routes>
        <Route index element={<Overview />} />
        <Route path="usage" element={<UsagePage />} />
        <Route path="users" element={<UsersPage />} />
        <Route path="models" element={<ModelsPage />} />
        <Route path="breakers" element={<BreakersPage />} />
        <Route path="audit" element={<AuditLog />} />
        <Route path="*" element={<NotFound />} />
      </Routes>
    </>
  );
}
