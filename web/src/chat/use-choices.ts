import { useState } from "react";
import { readPreference, writePreference } from "../lib/preference";
import type { ToolNames } from "./composer/tool-picker";

/** Which tools this browser's questions may use; kept for the next time. */
export function useToolChoice(): [ToolNames, (names: ToolNames) => void] {
  const [names, setNames] = useState<ToolNames>(() => {
    const kept = readPreference("tools");
    return kept === null ? null : kept.split(" ").filter(Boolean);
  });
  const choose = (chosen: ToolNames) => {
    setNames(chosen);
    writePreference("tools", chosen === null ? null : chosen.join(" "));
  };
  return [names, choose];
}

/** The model of conversations that are yet to begin. */
export function useFirstModel(): [string, (name: string) => void] {
  const [name, setName] = useState(() => readPreference("model") ?? "auto");
  const choose = (chosen: string) => {
    setName(chosen);
    writePreference("model", chosen);
  };
  return [name, choose];
}
