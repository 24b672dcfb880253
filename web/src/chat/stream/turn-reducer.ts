/** The state of a turn and how each stream event changes it. */
import type { Answer } from "../../api/types";
import type { RouteInfo, StreamEvent, TurnIds } from "./events";

export interface ToolStep {
  id: string;
  name: string;
  arguments: string;
  result: { ok: boolean; content: string; ms: number } | null;
}

export interface TurnError {
  code: string;
  message: string;
  requestId: string | null;
}

export type Phase = "sending" | "streaming" | "reconnecting" | "done" | "failed";

export interface Turn {
  phase: Phase;
  /** The question's text; null if the turn answers an existing question. */
  question: string | null;
  /** The message before the turn: `ROOT_PARENT` for none, null for the last one of the branch. */
  parentId: string | null;
  ids: TurnIds | null;
  lastEventId: number;
  text: string;
  reasoning: string;
  toolSteps: readonly ToolStep[];
  route: RouteInfo | null;
  /** Why text that was already shown has been replaced. */
  replacedReason: string | null;
  answer: Answer | null;
  error: TurnError | null;
  stopping: boolean;
  /** Milliseconds since 1970 by this browser's clock; 0 if unknown. */
  sentAt: number;
  lastEventAt: number;
  endedAt: number;
}

export function createTurn(question: string | null, parentId: string | null): Turn {
  return {
    phase: "sending",
    question,
    parentId,
    ids: null,
    lastEventId: 0,
    text: "",
    reasoning: "",
    toolSteps: [],
    route: null,
    replacedReason: null,
    answer: null,
    error: null,
    stopping: false,
    sentAt: 0,
    lastEventAt: 0,
    endedAt: 0,
  };
}

/** The state after an event. Events that were applied before are ignored, so a stream can be replayed. */
export function applyEvent(turn: Turn, event: StreamEvent): Turn {
  if (event.id <= turn.lastEventId || isFinished(turn)) return turn;
  const next = { ...turn, lastEventId: event.id, phase: "streaming" as const };
  switch (event.name) {
    case "turn":
      return { ...next, ids: event.data };
    case "route":
      return { ...next, route: event.data };
    case "delta":
      return { ...next, text: turn.text + event.data.text };
    case "reasoning":
      return { ...next, reasoning: turn.reasoning + event.data.text };
    case "tool_call":
      return { ...next, toolSteps: [...turn.toolSteps, { ...event.data, result: null }] };
    case "tool_result":
      return { ...next, toolSteps: withToolResult(turn.toolSteps, event.data) };
    case "replace": {
      const { text, reason } = event.data;
      // After a reconnect, the gateway may send the whole text so far, which replaces nothing.
      return { ...next, text, replacedReason: text.startsWith(turn.text) ? turn.replacedReason : reason };
    }
    case "done":
      return { ...next, phase: "done", answer: event.data, text: event.data.message.content };
    case "error": {
      const { code, message, request_id } = event.data.error;
      return { ...next, phase: "failed", error: { code, message, requestId: request_id ?? null } };
    }
  }
}

export function isFinished(turn: Turn): boolean {
  return turn.phase === "done" || turn.phase === "failed";
}

function withToolResult(
  steps: readonly ToolStep[],
  { id, name, ok, content, ms }: { id: string; name: string; ok: boolean; content: string; ms: number },
): ToolStep[] {
  const result = { ok, content, ms };
  if (!steps.some((step) => step.id === id)) return [...steps, { id, name, arguments: "", result }];
  return steps.map((step) => (step.id === id ? { ...step, result } : step));
}
