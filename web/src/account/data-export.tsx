import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { endSession } from "../api/access-token";
import { request, requestJson } from "../api/client";
import { saveResponse } from "../lib/download";
import { useFormSubmit } from "../lib/use-form-submit";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { ErrorNotice } from "../ui/error-notice";
import { TextField } from "../ui/field";
import { Page, Section } from "../ui/page";
import { toastError } from "../ui/toast";

export function DataExportPage() {
  const { t } = useTranslation();
  const [confirming, setConfirming] = useState(false);
  const download = useMutation({ mutationFn: downloadExport, onError: toastError });
  return (
    <Page title={t("account.data.title")}>
      <Section title={t("account.data.exportTitle")} hint={t("account.data.exportHint")}>
        <Button className="self-start" busy={download.isPending} onClick={() => download.mutate()}>
          {t("account.data.export")}
        </Button>
      </Section>
      <Section title={t("account.data.deleteTitle")} hint={t("account.data.deleteHint")}>
        <Button variant="danger" className="self-start" onClick={() => setConfirming(true)}>
          {t("account.data.delete")}
        </Button>
      </Section>
      {confirming && <DeleteAccountDialog onClose={() => setConfirming(false)} />}
    </Page>
  );
}

async function downloadExport(): Promise<void> {
  await saveResponse("llm-gateway-export.json", await request("/api/user/me/export"));
}

function DeleteAccountDialog({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const form = useFormSubmit(async ({ password = "" }) => {
    await requestJson<void>("/api/user/me", { method: "DELETE", body: { password } });
    endSession();
  });
  return (
    <Dialog open title={t("account.data.deleteTitle")} onClose={onClose}>
      <form onSubmit={form.submit} className="flex flex-col gap-4">
        <p className="text-sm">{t("account.data.deleteText")}</p>
        <TextField
          label={t("account.data.password")}
          name="password"
          type="password"
          autoComplete="current-password"
          required
        />
        {form.error ? <ErrorNotice error={form.error} /> : null}
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>{t("common.cancel")}</Button>
          <Button variant="danger" type="submit" busy={form.busy}>
            {t("account.data.deleteConfirm")}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
