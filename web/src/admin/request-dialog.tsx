import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { requestJson } from "../api/client";
import { sanitizeLine } from "../lib/text";
import { Dialog } from "../ui/dialog";
import { ErrorNotice } from "../ui/error-notice";
import { Loading } from "../ui/loading";
import { RequestId } from "../ui/request-id";
import { CallsTable } from "./calls-table";
import { lastDays } from "./date-range";
import type { ModelCall, ModelCallPage } from "./types";

/** How far back to search for the calls of a request. */
const SEARCH_DAYS = 90;

/** The model calls of one request in chronological order. */
export function RequestDialog({ call, onClose }: { call: ModelCall; onClose: () => void }) {
  const { t } = useTranslation();
  const { request_id, email } = call;
  const calls = useQuery({
    queryKey: ["admin", "request", request_id],
    queryFn: async ({ signal }) => {
      const query = { ...lastDays(SEARCH_DAYS, "UTC"), request_id, detail: "rows", order: "oldest" };
      return (await requestJson<ModelCallPage>("/api/admin/usage", { query, signal })).items;
    },
  });
  return (
    <Dialog open wide title={t("admin.requests.title")} onClose={onClose}>
      <RequestId id={request_id} />
      <p className="text-sm">{email ? sanitizeLine(email) : t("admin.usage.deletedAccount")}</p>
      <p className="text-sm text-ink-soft">{t("admin.requests.hint")}</p>
      {calls.error && <ErrorNotice error={calls.error} onRetry={() => void calls.refetch()} />}
      {calls.isPending && <Loading />}
      {calls.data && <CallsTable caption={t("chat.modelCalls")} rows={calls.data} />}
    </Dialog>
  );
}
