import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { requestJson } from "../api/client";
import { ApiError, errorMessage } from "../api/errors";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { toast } from "../ui/toast";
import type { ReloadResult } from "./types";

/** Reloads provider_config.yaml and shows its validation errors, if any. */
export function ReloadConfigurationButton() {
  const { t } = useTranslation();
  const queryClient = useQueryClient();
  const reload = useMutation({
    mutationFn: () => requestJson<ReloadResult>("/api/admin/reload", { method: "POST" }),
    onSuccess: async ({ models, providers }) => {
      toast(t("admin.reload.succeeded", { models, providers }));
      await queryClient.invalidateQueries();
    },
  });
  const { error } = reload;
  return (
    <>
      <Button busy={reload.isPending} onClick={() => reload.mutate()}>
        {t("admin.reload.button")}
      </Button>
      <Dialog open={error !== null} wide title={t("admin.reload.failed")} onClose={() => reload.reset()}>
        <p className="text-sm">{t("admin.reload.failedHint")}</p>
        {/* For 422, the gateway's message lists the errors with their line numbers. */}
        <pre className="overflow-auto rounded-sm bg-panel p-3 text-xs whitespace-pre-wrap">
          {error instanceof ApiError && error.status === 422 ? error.message : error && errorMessage(error)}
        </pre>
      </Dialog>
    </>
  );
}
