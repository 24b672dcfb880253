import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { call, request } from "../api/client";
import { saveAs } from "../lib/download";
import { end } from "../session/token";
import { useForm } from "../session/use-form";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { TextField } from "../ui/field";
import { ErrorNotice } from "../ui/notice";
import { Page, Section } from "../ui/page";
import { toastError } from "../ui/toast";

export function DataPage() {
  const { t } = useTranslation();
  const [asking, setAsking] = useState(false);
  const download = useMutation({ mutationFn: downloadExport, onError: toastError });
  return (
    <Page title={t("account.data.title")}>
      <Section title={t("account.data.exportTitle")} hint={t("account.data.exportHint")}>
        <Button className="self-start" busy={download.isPending} onClick={() => download.mutate()}>
          {t("account.data.export")}
        </Button>
      </Section>
      <Section title={t("account.data.deleteTitle")} hint={t("account.data.deleteHint")}>
        <Button kind="danger" className="self-start" onClick={() => setAsking(true)}>
          {t("account.data.delete")}
        </Button>
      </Section>
      {asking && <DeleteAccount onClose={() => setAsking(false)} />}
    </Page>
  );
}

async function downloadExport(): Promise<void> {
  await saveAs("llm-gateway-export.json", await request("/api/user/me/export"));
}

function DeleteAccount({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const form = useForm(async ({ password = "" }) => {
    await call<void>("/api/user/me", { method: "DELETE", body: { password } });
    end();
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
          <Button kind="danger" type="submit" busy={form.busy}>
            {t("account.data.deleteConfirm")}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
