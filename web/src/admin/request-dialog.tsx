import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { call } from "../api/client";
import { plainLine } from "../lib/text";
import { Dialog } from "../ui/dialog";
import { ErrorNotice, Loading } from "../ui/notice";
import { RequestId } from "../ui/request-id";
import { CallsTable } from "./calls-table";
import { lastDays } from "./range";
import type { Call, CallPage } from "./types";

const FAR = 90;

/** One request: its calls in their order, and what finds it in the log. */
export function RequestDialog({ call: chosen, onClose }: { call: Call; onClose: () => void }) {
  const { t } = useTranslation();
  const { request_id, email } = chosen;
  const calls = useQuery({
    queryKey: ["admin", "request", request_id],
    queryFn: async ({ signal }) => {
      const query = { ...lastDays(FAR, "UTC"), request_id, detail: "rows", order: "oldest" };
      return (await call<CallPage>("/api/admin/usage", { query, signal })).items;
    },
  });
  return (
    <Dialog open wide title={t("admin.requests.title")} onClose={onClose}>
      <RequestId id={request_id} />
      <p className="text-sm">{email ? plainLine(email) : t("admin.usage.left")}</p>
      <p className="text-sm text-ink-soft">{t("admin.requests.hint")}</p>
      {calls.error && <ErrorNotice error={calls.error} onRetry={() => void calls.refetch()} />}
      {calls.isPending && <Loading />}
      {calls.data && <CallsTable caption={t("chat.attempts")} rows={calls.data} />}
    </Dialog>
  );
}
