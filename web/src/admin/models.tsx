import { useQuery } from "@tanstack/react-query";
import type { TFunction } from "i18next";
import { useTranslation } from "react-i18next";
import { requestJson } from "../api/client";
import { formatDateTime, formatDuration, formatMoney, formatNumber, formatPercent } from "../lib/format";
import { sanitizeLine } from "../lib/text";
import { Button } from "../ui/button";
import { cx } from "../ui/cx";
import { ErrorNotice } from "../ui/error-notice";
import { Loading } from "../ui/loading";
import { Page } from "../ui/page";
import { Table } from "../ui/table";
import { BreakerHistory } from "./breaker-history";
import { lastDays } from "./date-range";
import { type ModelHealth, type ModelStatus, modelStatus } from "./model-status";
import { ReloadConfigurationButton } from "./reload-configuration";
import type { AdminModel, BreakerList, Stats } from "./types";

const REFRESH_INTERVAL_MS = 10_000;

/** The configured models with their prices, their status and the history of their circuit breakers. */
export function ModelsPage() {
  const { t } = useTranslation();
  const models = useQuery({
    queryKey: ["admin", "models"],
    queryFn: async ({ signal }) =>
      (await requestJson<{ items: AdminModel[] }>("/api/admin/models", { signal })).items,
  });
  const breakers = useQuery({
    queryKey: ["admin", "breakers"],
    queryFn: ({ signal }) => requestJson<BreakerList>("/api/admin/circuit-breakers", { signal }),
    refetchInterval: REFRESH_INTERVAL_MS,
  });
  const today = lastDays(1, "UTC");
  const stats = useQuery({
    queryKey: ["admin", "stats", today],
    queryFn: ({ signal }) => requestJson<Stats>("/api/admin/stats", { query: { ...today }, signal }),
    refetchInterval: 3 * REFRESH_INTERVAL_MS,
  });
  const error = models.error ?? breakers.error ?? stats.error;
  const refresh = () => void Promise.all([models.refetch(), breakers.refetch(), stats.refetch()]);
  return (
    <Page
      wide
      title={t("admin.nav.models")}
      actions={
        <div className="flex flex-wrap gap-2">
          <Button icon="refresh" busy={models.isFetching} onClick={refresh}>
            {t("admin.models.refresh")}
          </Button>
          <ReloadConfigurationButton />
        </div>
      }
    >
      <p className="text-sm text-ink-soft">{t("admin.models.hint")}</p>
      {error && <ErrorNotice error={error} onRetry={refresh} />}
      {models.isPending && <Loading />}
      {models.data && (
        <ModelTable
          models={models.data}
          statuses={models.data.map((model) =>
            modelStatus(model, breakers.data?.data ?? [], stats.data?.by_model ?? []),
          )}
        />
      )}
      <BreakerHistory />
    </Page>
  );
}

// Long because it lists eight columns.
function ModelTable({ models, statuses }: { models: AdminModel[]; statuses: ModelStatus[] }) {
  const { t } = useTranslation();
  return (
    <Table
      caption={t("admin.nav.models")}
      rows={models.map((model, index) => ({ ...model, status: statuses[index] as ModelStatus }))}
      rowKey={(model) => model.name}
      columns={[
        {
          key: "name",
          title: t("admin.overview.model"),
          cell: (model) => <NameCell model={model} />,
        },
        {
          key: "provider",
          title: t("admin.overview.provider"),
          cell: (model) => model.providers.join(", "),
        },
        {
          key: "status",
          title: t("admin.models.status"),
          cell: (model) => <StatusCell model={model} status={model.status} />,
        },
        {
          key: "errors",
          title: t("admin.models.errorRate"),
          numeric: true,
          cell: ({ status: { errorRate } }) => (errorRate === null ? "–" : formatPercent(errorRate)),
        },
        {
          key: "p95",
          title: t("admin.models.p95"),
          numeric: true,
          cell: ({ status: { p95 } }) => (p95 === null ? "–" : formatDuration(p95)),
        },
        {
          key: "capabilities",
          title: t("admin.models.capabilities"),
          cell: ({ capabilities }) => capabilitiesLabel(capabilities, t),
        },
        {
          key: "contextWindow",
          title: t("admin.models.contextWindow"),
          numeric: true,
          cell: ({ context_window }) => formatNumber(context_window),
        },
        {
          key: "price",
          title: t("admin.models.price"),
          numeric: true,
          cell: ({ price }) => `${formatMoney(price.input)} / ${formatMoney(price.output)}`,
        },
      ]}
    />
  );
}

function NameCell({ model: { name, upstream_model: upstreamModel } }: { model: AdminModel }) {
  return (
    <>
      <span className="font-medium">{name}</span>
      {upstreamModel !== name && <span className="block text-xs text-ink-soft">{upstreamModel}</span>}
    </>
  );
}

function capabilitiesLabel(capabilities: readonly string[], t: TFunction): string {
  const labels = capabilities.map((name) => t(`chat.capabilities.${name}` as "chat.capabilities.tools"));
  return labels.join(", ") || t("admin.models.chatOnly");
}

const UNAVAILABLE: ReadonlySet<ModelHealth> = new Set<ModelHealth>(["circuit_open", "down"]);
const DEGRADED: ReadonlySet<ModelHealth> = new Set<ModelHealth>(["degraded", "half_open"]);

function StatusCell({ model, status: { health, retryAt } }: { model: AdminModel; status: ModelStatus }) {
  const { t } = useTranslation();
  const error = model.last_error;
  return (
    <>
      <span
        className={cx(
          "font-medium whitespace-nowrap",
          UNAVAILABLE.has(health) && "text-danger",
          DEGRADED.has(health) && "text-warning",
          health === "up" && "text-accent",
          health === "not_configured" && "font-normal text-ink-soft",
        )}
      >
        {t(`admin.models.statuses.${health}`)}
      </span>
      {retryAt && (
        <span className="block text-xs text-ink-soft">
          {t("admin.models.retryAt", { time: formatDateTime(retryAt) })}
        </span>
      )}
      {health === "down" && model.detail && (
        <span className="block text-xs text-ink-soft">{model.detail}</span>
      )}
      {health !== "up" && error && (
        <span className="block max-w-md text-xs text-ink-soft">
          {formatDateTime(error.at)}: {[error.status, sanitizeLine(error.reason)].filter(Boolean).join(" ")}
        </span>
      )}
    </>
  );
}
