import * as Ariakit from "@ariakit/react";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import type { ToolChoice } from "../../api/types";
import { sayName } from "../../lib/codes";
import { Button } from "../../ui/button";
import { Checkbox } from "../../ui/field";
import { Icon } from "../../ui/icon";
import { chatTools } from "../queries";

/** Null: all that there are. */
export type ToolNames = readonly string[] | null;

interface ToolPickerProps {
  value: ToolNames;
  onChange: (names: ToolNames) => void;
}

/** Which of the gateway's tools a model may use. */
export function ToolPicker({ value, onChange }: ToolPickerProps) {
  const { t } = useTranslation();
  const tools = useQuery(chatTools).data ?? [];
  const known = tools.map((tool) => tool.name);
  const on = value?.filter((name) => known.includes(name)) ?? known;
  const label =
    value === null || (known.length > 0 && on.length === known.length)
      ? t("chat.toolsAll")
      : on.length === 0
        ? t("chat.toolsNone")
        : t("chat.toolsSome", { count: on.length });
  const turn = (name: string, use: boolean) => {
    const names = known.filter((one) => (one === name ? use : on.includes(one)));
    onChange(names.length === known.length ? null : names);
  };
  return (
    <Ariakit.PopoverProvider placement="top-start">
      <Ariakit.PopoverDisclosure
        aria-label={label}
        title={label}
        className="inline-flex min-h-8 items-center gap-2 rounded-sm px-2 text-sm text-ink-soft hover:bg-hover hover:text-ink"
      >
        <span className="max-sm:hidden">
          <Icon name="tool" />
        </span>
        <span className="max-sm:hidden">{label}</span>
        <span className="text-xs sm:hidden">{on.length < known.length ? label : t("chat.tools")}</span>
      </Ariakit.PopoverDisclosure>
      <Ariakit.Popover
        portal
        fixed
        gutter={6}
        aria-label={t("chat.tools")}
        className="floating z-40 flex max-h-[min(28rem,var(--popover-available-height))] w-80 max-w-[calc(100vw-2rem)] flex-col gap-3 overflow-y-auto p-3"
      >
        <p className="text-sm text-ink-soft">{known.length > 0 ? t("chat.toolsHint") : t("chat.noTools")}</p>
        {tools.map((tool) => (
          <Checkbox
            key={tool.name}
            label={<span className="font-medium">{sayName("tools", tool.name)}</span>}
            hint={textOf(tool)}
            checked={on.includes(tool.name)}
            onChange={(event) => turn(tool.name, event.target.checked)}
          />
        ))}
        {known.length > 0 && (
          <div className="flex gap-2">
            <Button small onClick={() => onChange(null)}>
              {t("chat.useAll")}
            </Button>
            <Button small onClick={() => onChange([])}>
              {t("chat.useNone")}
            </Button>
          </div>
        )}
      </Ariakit.Popover>
    </Ariakit.PopoverProvider>
  );
}

/** Ours for the gateway's own tools; of others the first sentence of what they say of themselves. */
function textOf({ name, description }: ToolChoice): string {
  const said = sayName("toolTexts", name);
  return said === name ? (/^.*?[.!?](?=\s|$)/s.exec(description)?.[0] ?? description) : said;
}
