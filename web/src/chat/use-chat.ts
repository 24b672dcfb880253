/** What a person does in a conversation: ask, edit, ask again, stop; and what follows from it. */
import { type QueryClient, useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, useState } from "react";
import { useLocation, useNavigate } from "react-router";
import type { Conversation, ConversationRead, Message } from "../api/types";
import { plainLine } from "../lib/text";
import { followedBy } from "./branches";
import { moveDraft } from "./composer/drafts";
import type { ToolNames } from "./composer/tool-picker";
import { conversationRead, refreshList, showInList } from "./queries";
import { newTurn, type Turn } from "./stream/turn";
import { type Hooks, isRunning, NEW, recall, start, stop, takeUp } from "./stream/turns";

/** How the next question is to be answered. */
export interface Choices {
  model: string;
  tools: ToolNames;
  /** Of a conversation that is yet to begin; one that is there has its own. */
  system: string;
}

/** By then the light model has found a title. */
const TITLE_MS = 4000;

export function useChat(place: string, conversation: ConversationRead | undefined, choices: Choices) {
  const [refusal, setRefusal] = useState<unknown>(null);
  const [returned, setReturned] = useState<string | null>(null);
  const hooks = useHooks((error, question) => {
    setRefusal(error);
    setReturned(question);
  });
  useTakingUp(conversation, hooks);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another conversation has refused nothing.
  useEffect(() => setRefusal(null), [place]);

  const latest = useRef({ place, choices });
  latest.current = { place, choices };

  const acts = useMemo(() => {
    const ask = (text: string, parent: string | null) => {
      const { place, choices } = latest.current;
      const begun = place !== NEW;
      setRefusal(null);
      const body = {
        message: text,
        ...(begun ? { conversation_id: place } : choices.system && { system: choices.system }),
        ...(parent !== null && { parent_id: parent }),
        ...answering(choices),
      };
      start(place, newTurn(text, parent), { path: "/api/chat/stream", body }, hooks);
    };
    return {
      ask: (text: string) => ask(text, null),
      edit: (message: Message, text: string) => ask(text, followedBy(message)),
      regenerate: (answer: Pick<Message, "id" | "parent_id">) => {
        const { place, choices } = latest.current;
        setRefusal(null);
        const sending = { path: `/api/chat/${answer.id}/regenerate`, body: answering(choices) };
        start(place, newTurn(null, answer.parent_id), sending, hooks);
      },
      stop: () => stop(latest.current.place),
      takeReturned: () => setReturned(null),
    };
  }, [hooks]);
  return { ...acts, refusal, returned };
}

function answering({ model, tools }: Choices): object {
  return { model, tools: tools === null ? "auto" : tools.length === 0 ? "none" : tools };
}

function useHooks(onRefused: (error: unknown, question: string | null) => void): Hooks {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const { pathname } = useLocation();
  const now = useRef({ pathname, onRefused });
  now.current = { pathname, onRefused };
  return useMemo<Hooks>(
    () => ({
      onStart: ({ conversation_id: id }, place, turn) => {
        if (place !== NEW) return;
        untitled.add(id);
        moveDraft(NEW, id);
        showInList(queries, begun(id, turn.question ?? ""));
        if (now.current.pathname === "/") navigate(`/c/${id}`, { replace: true });
      },
      onEnd: (turn) => settle(queries, turn),
      onRefused: (error, turn) => now.current.onRefused(error, turn.question),
    }),
    [queries, navigate],
  );
}

/** Conversations that began in this tab and have their first question as a title. */
const untitled = new Set<string>();

/** What the list shows of a conversation until it is read. */
function begun(id: string, question: string): Conversation {
  const now = new Date().toISOString();
  const title = plainLine(question.slice(0, 200));
  const times = { created_at: now, updated_at: now };
  return { id, title, model: null, system: null, head_id: null, running_message_id: null, ...times };
}

/** Reads the conversation that has changed, and the list once: of a new conversation, when it has its title. */
async function settle(queries: QueryClient, turn: Turn): Promise<void> {
  if (!turn.ids) return;
  const id = turn.ids.conversation_id;
  const read = conversationRead(id);
  // One that is still on its way began before the answer's end, and may not tell of it.
  await queries.cancelQueries({ queryKey: read.queryKey });
  const { messages: _, ...conversation } = await queries.fetchQuery({ ...read, staleTime: 0 });
  showInList(queries, conversation);
  if (untitled.delete(id)) setTimeout(() => void refreshList(queries), TITLE_MS);
  else void refreshList(queries);
  void queries.invalidateQueries({ queryKey: ["usage"] });
}

/** An answer that is being written when a conversation is opened is followed from its beginning. */
function useTakingUp(conversation: ConversationRead | undefined, hooks: Hooks): void {
  useEffect(() => {
    const id = conversation?.running_message_id;
    if (!conversation || !id || isRunning(conversation.id) || recall(id)) return;
    const answer = conversation.messages.find((message) => message.id === id);
    takeUp(
      conversation.id,
      {
        conversation_id: conversation.id,
        message_id: id,
        user_message_id: answer?.parent_id ?? null,
        request_id: "",
      },
      hooks,
    );
  }, [conversation, hooks]);
}
