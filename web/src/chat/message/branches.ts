/** The messages shown beside a running turn, and a message's position among its siblings. */
import type { Message } from "../../api/types";
import type { Turn } from "../stream/turn-reducer";

/** `parent_id` of a question without a message before it. */
export const ROOT_PARENT = "root";

/** The messages before a turn, without the turn's own question and answer. */
export function messagesBeforeTurn(messages: readonly Message[], turn: Turn | undefined): readonly Message[] {
  if (!turn) return messages;
  let end = messages.length;
  if (turn.parentId === ROOT_PARENT) end = 0;
  else if (turn.parentId !== null) {
    const parentIndex = indexOf(messages, turn.parentId);
    if (parentIndex >= 0) end = parentIndex + 1;
  }
  const questionId = turn.question === null ? null : turn.ids?.user_message_id;
  for (const id of [questionId, turn.ids?.message_id]) {
    const ownIndex = id ? indexOf(messages, id) : -1;
    if (ownIndex >= 0) end = Math.min(end, ownIndex);
  }
  return messages.slice(0, end);
}

/** `parent_id` of an edited question that replaces `message`. */
export function parentForEdit(message: Pick<Message, "parent_id">): string {
  return message.parent_id ?? ROOT_PARENT;
}

export interface SiblingPosition {
  /** Counted from 1. */
  index: number;
  count: number;
  previous: string | null;
  next: string | null;
}

/** A message's position among its siblings; null if it has none. */
export function siblingPosition(message: Pick<Message, "id" | "siblings">): SiblingPosition | null {
  const { id, siblings } = message;
  const index = siblings.indexOf(id);
  if (siblings.length < 2 || index < 0) return null;
  return {
    index: index + 1,
    count: siblings.length,
    previous: siblings[index - 1] ?? null,
    next: siblings[index + 1] ?? null,
  };
}

function indexOf(messages: readonly Message[], id: string): number {
  return messages.findIndex((message) => message.id === id);
}
