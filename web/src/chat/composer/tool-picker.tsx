import * as Ariakit from "@ariakit/react";
import { useQuery } from "@tanstack/react-query";
import type { TFunction } from "i18next";
import { useTranslation } from "react-i18next";
import type { ToolOption } from "../../api/types";
import { codeLabel } from "../../i18n/code-labels";
import { Button } from "../../ui/button";
import { Checkbox } from "../../ui/field";
import { Icon } from "../../ui/icon";
import { chatToolsQuery } from "../queries";

/** Names of the selected tools; null selects all. */
export type ToolSelection = readonly string[] | null;

interface ToolPickerProps {
  value: ToolSelection;
  onChange: (names: ToolSelection) => void;
}

/** Selects the tools that the model may call. */
export function ToolPicker({ value, onChange }: ToolPickerProps) {
  const { t } = useTranslation();
  const tools = useQuery(chatToolsQuery).data ?? [];
  const toolNames = tools.map((tool) => tool.name);
  const enabled = value?.filter((name) => toolNames.includes(name)) ?? toolNames;
  const label = selectionLabel(value === null, enabled.length, toolNames.length, t);
  const toggle = (name: string, enable: boolean) => {
    const names = toolNames.filter((other) => (other === name ? enable : enabled.includes(other)));
    onChange(names.length === toolNames.length ? null : names);
  };
  return (
    <Ariakit.PopoverProvider placement="top-start">
      <PickerButton label={label} shortLabel={enabled.length < toolNames.length ? label : t("chat.tools")} />
      <Ariakit.Popover
        portal
        fixed
        gutter={6}
        aria-label={t("chat.tools")}
        className="floating z-40 flex max-h-[min(28rem,var(--popover-available-height))] w-80 max-w-[calc(100vw-2rem)] flex-col gap-3 overflow-y-auto p-3"
      >
        <p className="text-sm text-ink-soft">
          {toolNames.length > 0 ? t("chat.toolsHint") : t("chat.toolsNotConfigured")}
        </p>
        {tools.map((tool) => (
          <Checkbox
            key={tool.name}
            label={<span className="font-medium">{codeLabel("tools", tool.name)}</span>}
            hint={toolDescription(tool)}
            checked={enabled.includes(tool.name)}
            onChange={(event) => toggle(tool.name, event.target.checked)}
          />
        ))}
        {toolNames.length > 0 && (
          <div className="flex gap-2">
            <Button small onClick={() => onChange(null)}>
              {t("chat.enableAll")}
            </Button>
            <Button small onClick={() => onChange([])}>
              {t("chat.disableAll")}
            </Button>
          </div>
        )}
      </Ariakit.Popover>
    </Ariakit.PopoverProvider>
  );
}

/** The short label is for phones. */
function PickerButton({ label, shortLabel }: { label: string; shortLabel: string }) {
  return (
    <Ariakit.PopoverDisclosure
      aria-label={label}
      title={label}
      className="inline-flex min-h-8 items-center gap-2 rounded-sm px-2 text-sm text-ink-soft hover:bg-hover hover:text-ink"
    >
      <span className="max-sm:hidden">
        <Icon name="tool" />
      </span>
      <span className="max-sm:hidden">{label}</span>
      <span className="text-xs sm:hidden">{shortLabel}</span>
    </Ariakit.PopoverDisclosure>
  );
}

function selectionLabel(
  allSelected: boolean,
  enabledCount: number,
  totalCount: number,
  t: TFunction,
): string {
  if (allSelected || (totalCount > 0 && enabledCount === totalCount)) return t("chat.allTools");
  return enabledCount === 0 ? t("chat.noTools") : t("chat.toolCount", { count: enabledCount });
}

/** The translated description of a built-in tool; for others the first sentence of their own. */
function toolDescription({ name, description }: ToolOption): string {
  const label = codeLabel("toolDescriptions", name);
  return label === name ? (/^.*?[.!?](?=\s|$)/s.exec(description)?.[0] ?? description) : label;
}
