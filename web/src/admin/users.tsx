import { keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useDeferredValue, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { requestJson } from "../api/client";
import { formatBytes, formatDate, formatNumber, moneyFormatter } from "../lib/format";
import { sanitizeLine } from "../lib/text";
import { Button } from "../ui/button";
import { EmptyState } from "../ui/empty-state";
import { ErrorNotice } from "../ui/error-notice";
import { SelectField, TextField } from "../ui/field";
import { Loading } from "../ui/loading";
import { Page } from "../ui/page";
import { ShowMoreButton } from "../ui/show-more-button";
import { Table, TruncatedCell } from "../ui/table";
import { thisMonth } from "./date-range";
import { tiersQuery } from "./tiers";
import type { AdminUser, AdminUserPage } from "./types";
import { UserDialog } from "./user-dialog";

interface Filters {
  q: string;
  role: string;
  tier: string;
  status: string;
}

/** Searches and edits user accounts. */
export function UsersPage() {
  const { t } = useTranslation();
  const [filters, setFilters] = useState<Filters>({ q: "", role: "", tier: "", status: "" });
  const tiers = useQuery(tiersQuery).data ?? [];
  return (
    <Page title={t("admin.nav.users")} wide>
      <search className="grid grid-cols-2 gap-3 max-sm:*:first:col-span-2 sm:grid-cols-[2fr_1fr_1fr_1fr]">
        <TextField
          label={t("admin.users.search")}
          type="search"
          value={filters.q}
          maxLength={320}
          onChange={(event) => setFilters({ ...filters, q: event.target.value })}
        />
        <SelectField
          label={t("admin.users.role")}
          value={filters.role}
          onChange={(event) => setFilters({ ...filters, role: event.target.value })}
        >
          <option value="">{t("admin.users.any")}</option>
          <option value="user">{t("account.profile.roles.user")}</option>
          <option value="admin">{t("account.profile.roles.admin")}</option>
        </SelectField>
        <SelectField
          label={t("admin.users.tier")}
          value={filters.tier}
          onChange={(event) => setFilters({ ...filters, tier: event.target.value })}
        >
          <option value="">{t("admin.users.any")}</option>
          {tiers.map(({ name }) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </SelectField>
        <SelectField
          label={t("admin.users.status")}
          value={filters.status}
          onChange={(event) => setFilters({ ...filters, status: event.target.value })}
        >
          <option value="">{t("admin.users.any")}</option>
          <option value="active">{t("admin.users.active")}</option>
          <option value="disabled">{t("admin.users.disabled")}</option>
        </SelectField>
      </search>
      <FilteredUsers filters={filters} />
    </Page>
  );
}

function FilteredUsers({ filters }: { filters: Filters }) {
  const { t } = useTranslation();
  const deferredFilters = useDeferredValue(filters);
  const [selected, setSelected] = useState<AdminUser | null>(null);
  const accounts = useInfiniteQuery({
    queryKey: ["admin", "users", deferredFilters],
    queryFn: ({ pageParam, signal }) =>
      requestJson<AdminUserPage>("/api/admin/users", {
        query: { ...deferredFilters, cursor: pageParam, limit: 50 },
        signal,
      }),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    placeholderData: keepPreviousData,
  });
  if (accounts.error) return <ErrorNotice error={accounts.error} onRetry={() => void accounts.refetch()} />;
  if (!accounts.data) return <Loading />;
  const rows = accounts.data.pages.flatMap((page) => page.items);
  if (rows.length === 0)
    return (
      <EmptyState icon="search" title={t("admin.users.none")}>
        {t("admin.users.noneHint")}
      </EmptyState>
    );
  return (
    <>
      <UserTable rows={rows} onSelect={setSelected} />
      <ShowMoreButton query={accounts} />
      {selected && <UserDialog account={selected} onClose={() => setSelected(null)} />}
    </>
  );
}

// Long because it lists nine columns.
function UserTable({ rows, onSelect }: { rows: AdminUser[]; onSelect: (account: AdminUser) => void }) {
  const { t } = useTranslation();
  const formatCost = moneyFormatter(rows.map(({ usage }) => usage.cost_usd));
  return (
    <Table
      caption={t("admin.nav.users")}
      rows={rows}
      rowKey={(account) => account.id}
      columns={[
        {
          key: "account",
          title: t("admin.users.account"),
          cell: (account) => <AccountCell account={account} />,
        },
        {
          key: "role",
          title: t("admin.users.role"),
          cell: ({ role }) => t(`account.profile.roles.${role}`),
        },
        { key: "tier", title: t("admin.users.tier"), cell: ({ tier }) => tier },
        {
          key: "status",
          title: t("admin.users.status"),
          cell: ({ status }) => (
            <span className={status === "active" ? "" : "text-danger"}>
              {status === "active" ? t("admin.users.active") : t("admin.users.disabled")}
            </span>
          ),
        },
        {
          key: "tokens",
          title: t("admin.users.tokensThisMonth"),
          numeric: true,
          cell: ({ usage }) => formatNumber(usage.total_tokens),
        },
        {
          key: "cost",
          title: t("admin.users.costThisMonth"),
          numeric: true,
          cell: (account) => <CostLink account={account} cost={formatCost(account.usage.cost_usd)} />,
        },
        {
          key: "storage",
          title: t("admin.users.storage"),
          numeric: true,
          cell: ({ stored_bytes }) => formatBytes(stored_bytes),
        },
        {
          key: "since",
          title: t("admin.users.memberSince"),
          cell: ({ created_at }) => formatDate(created_at),
        },
        {
          key: "edit",
          title: t("admin.users.edit"),
          sticky: true,
          cell: (account) => <EditButton account={account} onClick={() => onSelect(account)} />,
        },
      ]}
    />
  );
}

function AccountCell({ account: { email, name } }: { account: AdminUser }) {
  return (
    <>
      <span className="block font-medium">
        <TruncatedCell text={sanitizeLine(email)} />
      </span>
      {name && (
        <span className="block text-ink-soft">
          <TruncatedCell text={sanitizeLine(name)} />
        </span>
      )}
    </>
  );
}

/** The cost of the month, which links to the account's usage. */
function CostLink({ account, cost }: { account: AdminUser; cost: string }) {
  const { t } = useTranslation();
  const query = new URLSearchParams({ ...thisMonth(), user_id: account.id, by: "model" });
  return (
    <Link
      className="text-accent underline"
      to={`/admin/usage?${query}`}
      aria-label={t("admin.users.usageOf", { email: sanitizeLine(account.email) })}
    >
      {cost}
    </Link>
  );
}

function EditButton({ account, onClick }: { account: AdminUser; onClick: () => void }) {
  const { t } = useTranslation();
  return (
    <Button
      small
      aria-label={t("admin.users.editNamed", { email: sanitizeLine(account.email) })}
      onClick={onClick}
    >
      {t("admin.users.edit")}
    </Button>
  );
}
