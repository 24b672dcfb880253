import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { call } from "../api/client";
import { formatDuration, formatMoney, formatNumber, formatPercent, formatTime } from "../lib/format";
import { plainLine } from "../lib/text";
import { Button } from "../ui/button";
import { cx } from "../ui/cx";
import { ErrorNotice, Loading } from "../ui/notice";
import { Page } from "../ui/page";
import { Table } from "../ui/table";
import { BreakerHistory } from "./breaker-history";
import { type ModelState, type Standing, standingOf } from "./model-state";
import { lastDays } from "./range";
import { ReloadConfiguration } from "./reload";
import type { AdminModel, Breakers, Stats } from "./types";

const EVERY_MS = 10_000;

/** The models of the configuration: what they cost, how they do now, and when they were paused. */
export function ModelsPage() {
  const { t } = useTranslation();
  const models = useQuery({
    queryKey: ["admin", "models"],
    queryFn: async ({ signal }) =>
      (await call<{ items: AdminModel[] }>("/api/admin/models", { signal })).items,
  });
  const breakers = useQuery({
    queryKey: ["admin", "breakers"],
    queryFn: ({ signal }) => call<Breakers>("/api/admin/circuit-breakers", { signal }),
    refetchInterval: EVERY_MS,
  });
  const today = lastDays(1, "UTC");
  const stats = useQuery({
    queryKey: ["admin", "stats", today],
    queryFn: ({ signal }) => call<Stats>("/api/admin/stats", { query: { ...today }, signal }),
    refetchInterval: 3 * EVERY_MS,
  });
  const error = models.error ?? breakers.error ?? stats.error;
  const again = () => void Promise.all([models.refetch(), breakers.refetch(), stats.refetch()]);
  return (
    <Page
      wide
      title={t("admin.nav.models")}
      actions={
        <div className="flex flex-wrap gap-2">
          <Button icon="again" busy={models.isFetching} onClick={again}>
            {t("admin.models.ask")}
          </Button>
          <ReloadConfiguration />
        </div>
      }
    >
      <p className="text-sm text-ink-soft">{t("admin.models.hint")}</p>
      {error && <ErrorNotice error={error} onRetry={again} />}
      {models.isPending && <Loading />}
      {models.data && (
        <ModelTable
          models={models.data}
          standings={models.data.map((model) =>
            standingOf(model, breakers.data?.data ?? [], stats.data?.by_model ?? []),
          )}
        />
      )}
      <BreakerHistory />
    </Page>
  );
}

function ModelTable({ models, standings }: { models: AdminModel[]; standings: Standing[] }) {
  const { t } = useTranslation();
  return (
    <Table
      caption={t("admin.nav.models")}
      rows={models.map((model, index) => ({ ...model, standing: standings[index] as Standing }))}
      rowKey={(model) => model.name}
      columns={[
        {
          key: "name",
          title: t("admin.overview.model"),
          cell: (model) => (
            <>
              <span className="font-medium">{model.name}</span>
              {model.upstream_model !== model.name && (
                <span className="block text-xs text-ink-soft">{model.upstream_model}</span>
              )}
            </>
          ),
        },
        {
          key: "provider",
          title: t("admin.overview.provider"),
          cell: (model) => model.providers.join(", "),
        },
        {
          key: "state",
          title: t("admin.models.state"),
          cell: (model) => <State model={model} standing={model.standing} />,
        },
        {
          key: "errors",
          title: t("admin.models.errors"),
          numeric: true,
          cell: ({ standing: { errorRate } }) => (errorRate === null ? "–" : formatPercent(errorRate)),
        },
        {
          key: "p95",
          title: t("admin.models.p95"),
          numeric: true,
          cell: ({ standing: { p95 } }) => (p95 === null ? "–" : formatDuration(p95)),
        },
        {
          key: "can",
          title: t("admin.models.can"),
          cell: ({ capabilities }) =>
            capabilities
              .map((name) => t(`chat.capabilities.${name}` as "chat.capabilities.tools"))
              .join(", ") || t("admin.models.chatOnly"),
        },
        {
          key: "window",
          title: t("admin.models.window"),
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

const BAD: ReadonlySet<ModelState> = new Set<ModelState>(["paused", "down"]);
const DOUBTFUL: ReadonlySet<ModelState> = new Set<ModelState>(["degraded", "testing"]);

function State({ model, standing: { state, retryAt } }: { model: AdminModel; standing: Standing }) {
  const { t } = useTranslation();
  const error = model.last_error;
  return (
    <>
      <span
        className={cx(
          "font-medium whitespace-nowrap",
          BAD.has(state) && "text-danger",
          DOUBTFUL.has(state) && "text-warning",
          state === "up" && "text-accent",
          state === "unset" && "font-normal text-ink-soft",
        )}
      >
        {t(`admin.models.states.${state}`)}
      </span>
      {retryAt && (
        <span className="block text-xs text-ink-soft">
          {t("admin.models.retryAt", { time: formatTime(retryAt) })}
        </span>
      )}
      {state === "down" && model.detail && (
        <span className="block text-xs text-ink-soft">{model.detail}</span>
      )}
      {state !== "up" && error && (
        <span className="block max-w-md text-xs text-ink-soft">
          {formatTime(error.at)}: {[error.status, plainLine(error.reason)].filter(Boolean).join(" ")}
        </span>
      )}
    </>
  );
}
