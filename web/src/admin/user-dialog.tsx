import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { requestJson } from "../api/client";
import type { User } from "../api/types";
import { sanitizeLine } from "../lib/text";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { ErrorNotice } from "../ui/error-notice";
import { SelectField } from "../ui/field";
import { Notice } from "../ui/notice";
import { toast } from "../ui/toast";
import { tierLimits, tiersQuery } from "./tiers";
import type { AdminUser } from "./types";

interface UserDialogProps {
  account: AdminUser;
  onClose: () => void;
}

/** Edits the role, tier and status of a user. Long because it is one form. */
export function UserDialog({ account, onClose }: UserDialogProps) {
  const { t } = useTranslation();
  const tiers = useQuery(tiersQuery).data ?? [];
  const [tier, setTier] = useState(account.tier);
  const selectedTier = tiers.find(({ name }) => name === tier);
  const [status, setStatus] = useState(account.status);
  const update = useUpdateUser(account, onClose);
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    update.mutate({ role: form.get("role"), tier, status });
  };
  return (
    <Dialog open title={sanitizeLine(account.email)} onClose={onClose}>
      <form onSubmit={submit} className="flex flex-col gap-4">
        <SelectField label={t("admin.users.role")} name="role" defaultValue={account.role}>
          <option value="user">{t("account.profile.roles.user")}</option>
          <option value="admin">{t("account.profile.roles.admin")}</option>
        </SelectField>
        <SelectField
          label={t("admin.users.tier")}
          hint={selectedTier ? tierLimits(selectedTier, t) : t("admin.users.tierRemoved")}
          value={tier}
          onChange={(event) => setTier(event.target.value)}
        >
          {[...new Set([account.tier, ...tiers.map(({ name }) => name)])].map((name) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </SelectField>
        <SelectField
          label={t("admin.users.status")}
          value={status}
          onChange={(event) => setStatus(event.target.value === "disabled" ? "disabled" : "active")}
        >
          <option value="active">{t("admin.users.active")}</option>
          <option value="disabled">{t("admin.users.disabled")}</option>
        </SelectField>
        {status === "disabled" && account.status !== "disabled" && (
          <Notice kind="warning">{t("admin.users.disableHint")}</Notice>
        )}
        {update.error && <ErrorNotice error={update.error} />}
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>{t("common.cancel")}</Button>
          <Button variant="primary" type="submit" busy={update.isPending}>
            {t("common.save")}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

function useUpdateUser(account: AdminUser, onUpdated: () => void) {
  const { t } = useTranslation();
  const queryClient = useQueryClient();
  return useMutation({
    mutationFn: (body: Record<string, unknown>) =>
      requestJson<User>(`/api/admin/users/${account.id}`, { method: "PATCH", body }),
    onSuccess: async () => {
      toast(t("admin.users.saved", { email: sanitizeLine(account.email) }));
      await queryClient.invalidateQueries({ queryKey: ["admin", "users"] });
      onUpdated();
    },
  });
}
