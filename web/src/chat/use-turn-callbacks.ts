/** Updates the conversation list, the cache and the URL when a turn starts and ends. */
import { type QueryClient, useQueryClient } from "@tanstack/react-query";
import { useMemo, useRef } from "react";
import { useLocation, useNavigate } from "react-router";
import type { Conversation } from "../api/types";
import { sanitizeLine } from "../lib/text";
import { moveDraft } from "./composer/drafts";
import { conversationQuery, moveToTopOfList, refreshList } from "./queries";
import type { Turn } from "./stream/turn-reducer";
import { NEW_CONVERSATION, type TurnCallbacks } from "./stream/turn-store";

/** By then the gateway has usually generated a title. */
const TITLE_DELAY_MS = 4000;
const MAX_TITLE_LENGTH = 200;

/** New conversations of this tab whose title is not generated yet. */
const awaitingTitle = new Set<string>();

export function useTurnCallbacks(
  onRejected: (error: unknown, question: string | null) => void,
): TurnCallbacks {
  const queryClient = useQueryClient();
  const navigate = useNavigate();
  const { pathname } = useLocation();
  const latest = useRef({ pathname, onRejected });
  latest.current = { pathname, onRejected };
  return useMemo<TurnCallbacks>(
    () => ({
      onStart: ({ conversation_id: id }, previousKey, turn) => {
        if (previousKey !== NEW_CONVERSATION) return;
        awaitingTitle.add(id);
        moveDraft(NEW_CONVERSATION, id);
        moveToTopOfList(queryClient, newConversation(id, turn.question ?? ""));
        if (latest.current.pathname === "/") navigate(`/c/${id}`, { replace: true });
      },
      onEnd: (turn) => refreshAfterTurn(queryClient, turn),
      onRejected: (error, turn) => latest.current.onRejected(error, turn.question),
    }),
    [queryClient, navigate],
  );
}

/** The list entry of a new conversation until it is fetched. */
function newConversation(id: string, question: string): Conversation {
  const now = new Date().toISOString();
  return {
    id,
    title: sanitizeLine(question.slice(0, MAX_TITLE_LENGTH)),
    model: null,
    system: null,
    head_id: null,
    running_message_id: null,
    created_at: now,
    updated_at: now,
  };
}

/** Fetches the conversation, and the list once: for a new conversation, after its title was generated. */
async function refreshAfterTurn(queryClient: QueryClient, turn: Turn): Promise<void> {
  if (!turn.ids) return;
  const id = turn.ids.conversation_id;
  const query = conversationQuery(id);
  // A running fetch started before the answer ended, so its result may not contain it.
  await queryClient.cancelQueries({ queryKey: query.queryKey });
  const { messages: _, ...conversation } = await queryClient.fetchQuery({ ...query, staleTime: 0 });
  moveToTopOfList(queryClient, conversation);
  if (awaitingTitle.delete(id)) setTimeout(() => void refreshList(queryClient), TITLE_DELAY_MS);
  else void refreshList(queryClient);
  void queryClient.invalidateQueries({ queryKey: ["usage"] });
}
