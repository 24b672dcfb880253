import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { call } from "../api/client";
import { formatNumber } from "../lib/format";
import { Button } from "../ui/button";
import { ErrorNotice, Loading } from "../ui/notice";
import { Page } from "../ui/page";
import { Table } from "../ui/table";
import type { AdminModel } from "./types";

/** The models of the configuration, what they are charged at, and whether they answer. */
export function ModelsPage() {
  const { t } = useTranslation();
  const models = useQuery({
    queryKey: ["admin", "models"],
    queryFn: async ({ signal }) =>
      (await call<{ items: AdminModel[] }>("/api/admin/models", { signal })).items,
  });
  return (
    <Page
      title={t("admin.nav.models")}
      actions={
        <Button icon="again" busy={models.isFetching} onClick={() => void models.refetch()}>
          {t("admin.models.ask")}
        </Button>
      }
    >
      <p className="text-sm text-ink-soft">{t("admin.models.hint")}</p>
      {models.error && <ErrorNotice error={models.error} onRetry={() => void models.refetch()} />}
      {models.isPending && <Loading />}
      {models.data && <ModelTable models={models.data} />}
    </Page>
  );
}

function ModelTable({ models }: { models: AdminModel[] }) {
  const { t } = useTranslation();
  return (
    <Table
      caption={t("admin.nav.models")}
      rows={models}
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
        { key: "state", title: t("admin.models.state"), cell: (model) => <State model={model} /> },
        {
          key: "can",
          title: t("admin.models.can"),
          cell: ({ capabilities }) => capabilities.join(", ") || t("admin.models.chatOnly"),
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
          cell: ({ price }) => `${price.input} / ${price.output}`,
        },
      ]}
    />
  );
}

function State({ model }: { model: AdminModel }) {
  const { t } = useTranslation();
  if (!model.configured) return <span className="text-ink-soft">{t("admin.models.noKey")}</span>;
  if (model.reachable) return <span className="text-accent">{t("admin.models.answers")}</span>;
  return (
    <>
      <span className="text-danger">{t("admin.models.silent")}</span>
      {model.detail && <span className="block text-xs text-ink-soft">{model.detail}</span>}
    </>
  );
}
