import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useId, useState } from "react";
import { useTranslation } from "react-i18next";
import { call } from "../api/client";
import type { User } from "../api/types";
import { plainLine } from "../lib/text";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { SelectField, TextField } from "../ui/field";
import { ErrorNotice, Notice } from "../ui/notice";
import { toast } from "../ui/toast";
import type { Account } from "./types";

interface UserDialogProps {
  account: Account;
  /** Tiers that are in use, to choose from; the configuration may have more. */
  tiers: string[];
  onClose: () => void;
}

/** Role, tier and status of one account. */
export function UserDialog({ account, tiers, onClose }: UserDialogProps) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const known = useId();
  const [status, setStatus] = useState(account.status);
  const change = useMutation({
    mutationFn: (body: Record<string, unknown>) =>
      call<User>(`/api/admin/users/${account.id}`, { method: "PATCH", body }),
    onSuccess: async () => {
      toast(t("admin.users.changed", { email: plainLine(account.email) }));
      await queries.invalidateQueries({ queryKey: ["admin", "users"] });
      onClose();
    },
  });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    change.mutate({ role: form.get("role"), tier: String(form.get("tier")).trim(), status });
  };
  return (
    <Dialog open title={plainLine(account.email)} onClose={onClose}>
      <form onSubmit={submit} className="flex flex-col gap-4">
        <SelectField label={t("admin.users.role")} name="role" defaultValue={account.role}>
          <option value="user">{t("account.profile.roles.user")}</option>
          <option value="admin">{t("account.profile.roles.admin")}</option>
        </SelectField>
        <TextField
          label={t("admin.users.tier")}
          hint={t("admin.users.tierHint")}
          name="tier"
          list={known}
          required
          maxLength={64}
          defaultValue={account.tier}
        />
        <datalist id={known}>
          {tiers.map((tier) => (
            <option key={tier} value={tier} />
          ))}
        </datalist>
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
        {change.error && <ErrorNotice error={change.error} />}
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>{t("common.cancel")}</Button>
          <Button kind="primary" type="submit" busy={change.isPending}>
            {t("common.save")}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
