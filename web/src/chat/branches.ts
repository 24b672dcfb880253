/** What of a conversation is read while a turn is under way, and where a message stands among its siblings. */
import type { Message } from "../api/types";
import type { Turn } from "./stream/turn";

export const ROOT = "root";

/** The messages before the turn's own: its question and its answer are shown from the turn. */
export function beforeTurn(messages: readonly Message[], turn: Turn | undefined): readonly Message[] {
  if (!turn) return messages;
  let end = messages.length;
  if (turn.follows === ROOT) end = 0;
  else if (turn.follows !== null) {
    const followed = indexOf(messages, turn.follows);
    if (followed >= 0) end = followed + 1;
  }
  for (const id of [turn.question === null ? null : turn.ids?.user_message_id, turn.ids?.message_id]) {
    const own = id ? indexOf(messages, id) : -1;
    if (own >= 0) end = Math.min(end, own);
  }
  return messages.slice(0, end);
}

/** `parent_id` of a question that takes the place of `message`. */
export function followedBy(message: Pick<Message, "parent_id">): string {
  return message.parent_id ?? ROOT;
}

export interface Place {
  /** Counted from 1. */
  at: number;
  of: number;
  previous: string | null;
  next: string | null;
}

/** Where a message stands among those in its place; null where it is alone. */
export function placeOf(message: Pick<Message, "id" | "siblings">): Place | null {
  const { id, siblings } = message;
  const index = siblings.indexOf(id);
  if (siblings.length < 2 || index < 0) return null;
  return {
    at: index + 1,
    of: siblings.length,
    previous: siblings[index - 1] ?? null,
    next: siblings[index + 1] ?? null,
  };
}

function indexOf(messages: readonly Message[], id: string): number {
  return messages.findIndex((message) => message.id === id);
}
