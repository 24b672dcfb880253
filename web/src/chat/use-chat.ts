/** The actions of a conversation: send, edit, regenerate and stop. */
import { useEffect, useMemo, useRef, useState } from "react";
import type { ConversationWithMessages, Message } from "../api/types";
import type { ToolSelection } from "./composer/tool-picker";
import { parentForEdit } from "./message/branches";
import type { TurnRequest } from "./stream/connection";
import { createTurn } from "./stream/turn-reducer";
import {
  cachedTurn,
  hasActiveTurn,
  NEW_CONVERSATION,
  resumeTurn,
  startTurn,
  stopTurn,
  type TurnCallbacks,
} from "./stream/turn-store";
import { useTurnCallbacks } from "./use-turn-callbacks";

/** How the next question is to be answered. */
export interface ChatSettings {
  model: string;
  tools: ToolSelection;
  /** For a new conversation; an existing one has its own. */
  systemPrompt: string;
}

/** `conversationKey` is the conversation's id, or `NEW_CONVERSATION`. */
export function useChat(
  conversationKey: string,
  conversation: ConversationWithMessages | undefined,
  settings: ChatSettings,
) {
  const [sendError, setSendError] = useState<unknown>(null);
  const [rejectedText, setRejectedText] = useState<string | null>(null);
  const callbacks = useTurnCallbacks((error, question) => {
    setSendError(error);
    setRejectedText(question);
  });
  useResumeRunningTurn(conversation, callbacks);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the error belongs to one conversation.
  useEffect(() => setSendError(null), [conversationKey]);

  const latest = useRef({ conversationKey, settings });
  latest.current = { conversationKey, settings };

  const actions = useMemo(() => {
    const start = (question: string | null, parentId: string | null, request: TurnRequest) => {
      setSendError(null);
      startTurn(latest.current.conversationKey, createTurn(question, parentId), request, callbacks);
    };
    const send = (text: string, parentId: string | null) => {
      const { conversationKey, settings } = latest.current;
      const body = {
        message: text,
        ...(conversationKey !== NEW_CONVERSATION
          ? { conversation_id: conversationKey }
          : settings.systemPrompt && { system: settings.systemPrompt }),
        ...(parentId !== null && { parent_id: parentId }),
        ...generationOptions(settings),
      };
      start(text, parentId, { path: "/api/chat/stream", body });
    };
    return {
      send: (text: string) => send(text, null),
      edit: (message: Message, text: string) => send(text, parentForEdit(message)),
      regenerate: (answer: Pick<Message, "id" | "parent_id">) =>
        start(null, answer.parent_id, {
          path: `/api/chat/${answer.id}/regenerate`,
          body: generationOptions(latest.current.settings),
        }),
      stop: () => stopTurn(latest.current.conversationKey),
      clearRejectedText: () => setRejectedText(null),
    };
  }, [callbacks]);
  return { ...actions, sendError, rejectedText };
}

function generationOptions({ model, tools }: ChatSettings): object {
  return { model, tools: tools === null ? "auto" : tools.length === 0 ? "none" : tools };
}

/** Resumes the stream of an answer that is running when its conversation is opened. */
function useResumeRunningTurn(
  conversation: ConversationWithMessages | undefined,
  callbacks: TurnCallbacks,
): void {
  useEffect(() => {
    const id = conversation?.running_message_id;
    if (!conversation || !id || hasActiveTurn(conversation.id) || cachedTurn(id)) return;
    const answer = conversation.messages.find((message) => message.id === id);
    const ids = {
      conversation_id: conversation.id,
      message_id: id,
      user_message_id: answer?.parent_id ?? null,
      request_id: "",
    };
    resumeTurn(conversation.id, ids, callbacks);
  }, [conversation, callbacks]);
}
