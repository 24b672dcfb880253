/** Model, tools and system prompt: those of a conversation, or those for the next new one. */
import { useEffect, useState } from "react";
import type { ConversationWithMessages } from "../api/types";
import { readPreference, writePreference } from "../lib/preferences";
import { toastError } from "../ui/toast";
import type { ToolSelection } from "./composer/tool-picker";
import { useUpdateConversation } from "./queries";

export function useChatSettings(id: string | undefined, conversation: ConversationWithMessages | undefined) {
  const update = useUpdateConversation(id ?? "");
  const [defaultModel, setDefaultModel] = useDefaultModel();
  const [newSystemPrompt, setNewSystemPrompt] = useState("");
  const [tools, setTools] = useSelectedTools();
  const exists = id !== undefined;
  const setModel = (name: string) => {
    setDefaultModel(name);
    if (exists) update.mutate({ model: name }, { onError: toastError });
  };
  const setSystemPrompt = async (text: string) => {
    if (exists) await update.mutateAsync({ system: text || null }).catch(toastError);
    else setNewSystemPrompt(text);
  };
  // The system prompt applies to one new conversation only.
  useEffect(() => {
    if (exists) setNewSystemPrompt("");
  }, [exists]);
  return {
    model: (exists ? conversation?.model : defaultModel) ?? defaultModel,
    systemPrompt: (exists ? conversation?.system : newSystemPrompt) ?? "",
    tools,
    setModel,
    setSystemPrompt,
    setTools,
  };
}

/** The selected tools; they are stored for all conversations of this browser. */
function useSelectedTools(): [ToolSelection, (names: ToolSelection) => void] {
  const [names, setNames] = useState<ToolSelection>(() => {
    const stored = readPreference("tools");
    return stored === null ? null : stored.split(" ").filter(Boolean);
  });
  const select = (selected: ToolSelection) => {
    setNames(selected);
    writePreference("tools", selected === null ? null : selected.join(" "));
  };
  return [names, select];
}

/** The model of new conversations. */
function useDefaultModel(): [string, (name: string) => void] {
  const [name, setName] = useState(() => readPreference("model") ?? "auto");
  const select = (selected: string) => {
    setName(selected);
    writePreference("model", selected);
  };
  return [name, select];
}
