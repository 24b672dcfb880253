import * as Ariakit from "@ariakit/react";
import { useQuery } from "@tanstack/react-query";
import type { TFunction } from "i18next";
import { useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import type { ModelOption } from "../../api/types";
import { formatCompact, formatMoney } from "../../lib/format";
import { Icon } from "../../ui/icon";
import { chatModelsQuery } from "../queries";

interface ModelPickerProps {
  value: string;
  onChange: (name: string) => void;
}

const KINDS = ["router", "alias", "model"] as const;

/** Selects a model or an alias, with search by name; shows capabilities and prices. */
export function ModelPicker({ value, onChange }: ModelPickerProps) {
  const { t } = useTranslation();
  const models = useQuery(chatModelsQuery);
  const [searchText, setSearchText] = useState("");
  const matches = useMemo(() => {
    const needle = searchText.trim().toLowerCase();
    return (models.data ?? []).filter(({ name, provider }) =>
      `${name} ${provider}`.toLowerCase().includes(needle),
    );
  }, [models.data, searchText]);
  return (
    <Ariakit.ComboboxProvider resetValueOnHide setValue={setSearchText}>
      <Ariakit.SelectProvider value={value} setValue={onChange} placement="top-start">
        <Ariakit.Select
          aria-label={`${t("chat.model")}: ${modelLabel(value, t)}`}
          className="inline-flex min-h-8 max-w-52 items-center gap-2 rounded-sm px-2 text-sm text-ink-soft hover:bg-hover hover:text-ink"
        >
          <Icon name="model" />
          <span className="truncate">{modelLabel(value, t)}</span>
          <Icon name="chevron-down" size={14} />
        </Ariakit.Select>
        <Ariakit.SelectPopover
          portal
          fixed
          gutter={6}
          aria-label={t("chat.model")}
          className="floating z-40 flex max-h-[min(28rem,var(--popover-available-height))] w-96 max-w-[calc(100vw-2rem)] flex-col"
        >
          <Ariakit.Combobox
            autoSelect
            placeholder={t("chat.searchModels")}
            aria-label={t("chat.searchModels")}
            className="mb-1 min-h-9 w-full rounded-sm border border-line bg-page px-3 text-sm placeholder:text-ink-soft"
          />
          <Ariakit.ComboboxList className="overflow-y-auto">
            {KINDS.map((kind) => (
              <OptionGroup
                key={kind}
                kind={kind}
                options={matches.filter((choice) => choice.kind === kind)}
              />
            ))}
            {matches.length === 0 && <p className="px-3 py-4 text-sm text-ink-soft">{t("chat.noModels")}</p>}
          </Ariakit.ComboboxList>
        </Ariakit.SelectPopover>
      </Ariakit.SelectProvider>
    </Ariakit.ComboboxProvider>
  );
}

function OptionGroup({ kind, options }: { kind: ModelOption["kind"]; options: ModelOption[] }) {
  const { t } = useTranslation();
  if (options.length === 0) return null;
  return (
    <Ariakit.SelectGroup>
      <Ariakit.SelectGroupLabel className="px-3 pt-2 pb-1 text-xs text-ink-soft">
        {t(`chat.kinds.${kind}`)}
      </Ariakit.SelectGroupLabel>
      {options.map((choice) => (
        <Ariakit.SelectItem
          key={choice.name}
          value={choice.name}
          render={<Ariakit.ComboboxItem />}
          className="flex items-start gap-2 rounded-sm px-3 py-2 text-sm data-active-item:bg-hover"
        >
          <Ariakit.SelectItemCheck className="mt-0.5 w-4 shrink-0">
            <Icon name="check" size={16} />
          </Ariakit.SelectItemCheck>
          <span className="min-w-0 flex-1">
            <span className="block font-medium">{modelLabel(choice.name, t)}</span>
            <OptionDetails option={choice} />
          </span>
        </Ariakit.SelectItem>
      ))}
    </Ariakit.SelectGroup>
  );
}

function OptionDetails({ option }: { option: ModelOption }) {
  const { t } = useTranslation();
  if (option.kind === "router") return <DetailLine>{t("chat.autoHint")}</DetailLine>;
  if (option.kind === "alias")
    return <DetailLine>{t("chat.aliasModels", { models: option.models.join(", ") })}</DetailLine>;
  const details = [
    option.provider,
    t("chat.contextWindow", { size: formatCompact(option.context_window) }),
    ...option.capabilities.map((name) => t(`chat.capabilities.${name}` as "chat.capabilities.tools")),
  ];
  return (
    <>
      <DetailLine>{details.join(" · ")}</DetailLine>
      <DetailLine>{priceLabel(option, t)}</DetailLine>
    </>
  );
}

function DetailLine({ children }: { children: string }) {
  return <span className="block text-xs text-ink-soft">{children}</span>;
}

function modelLabel(name: string, t: TFunction): string {
  return name === "auto" ? t("chat.auto") : name;
}

function priceLabel({ price }: ModelOption, t: TFunction): string {
  const input = Number(price?.input ?? 0);
  const output = Number(price?.output ?? 0);
  if (input === 0 && output === 0) return t("chat.free");
  return t("chat.price", { input: formatMoney(input), output: formatMoney(output) });
}
