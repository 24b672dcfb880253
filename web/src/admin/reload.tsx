import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { call } from "../api/client";
import { ApiError, sayError } from "../api/errors";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { toast } from "../ui/toast";
import type { Reloaded } from "./types";

/** Puts provider_config.yaml into force, or says what is wrong in it. */
export function ReloadConfiguration() {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const reload = useMutation({
    mutationFn: () => call<Reloaded>("/api/admin/reload", { method: "POST" }),
    onSuccess: async ({ models, providers }) => {
      toast(t("admin.reload.done", { models, providers }));
      await queries.invalidateQueries();
    },
  });
  const { error } = reload;
  return (
    <>
      <Button busy={reload.isPending} onClick={() => reload.mutate()}>
        {t("admin.reload.button")}
      </Button>
      <Dialog open={error !== null} wide title={t("admin.reload.refused")} onClose={() => reload.reset()}>
        <p className="text-sm">{t("admin.reload.refusedHint")}</p>
        {/* The file's mistakes with their lines: the gateway's own words. */}
        <pre className="overflow-auto rounded-sm bg-panel p-3 text-xs whitespace-pre-wrap">
          {error instanceof ApiError && error.status === 422 ? error.message : error && sayError(error)}
        </pre>
      </Dialog>
    </>
  );
}
