/** A turn as it comes about: pure state, and what each event does to it. */
import type { Answer } from "../../api/types";
import type { Route, StreamEvent, TurnIds } from "./events";

export interface ToolStep {
  id: string;
  name: string;
  arguments: string;
  result: { ok: boolean; content: string; ms: number } | null;
}

export interface Failure {
  code: string;
  message: string;
  requestId: string | null;
}

export type Phase = "sending" | "streaming" | "reconnecting" | "done" | "failed";

export interface Turn {
  phase: Phase;
  /** The question as it was sent; null where the turn answers one that stands there already. */
  question: string | null;
  /** The message that the turn follows; "root" for none, null for the branch's last. */
  follows: string | null;
  ids: TurnIds | null;
  /** The last event that was taken: those up to it are not taken again. */
  lastEventId: number;
  text: string;
  reasoning: string;
  steps: readonly ToolStep[];
  route: Route | null;
  /** Why text that was shown is gone. */
  replaced: string | null;
  answer: Answer | null;
  failure: Failure | null;
  stopping: boolean;
  /** When it was sent, when its last event came and when it ended, by this browser's clock; 0: not known. */
  sentAt: number;
  heardAt: number;
  endedAt: number;
}

export function newTurn(question: string | null, follows: string | null): Turn {
  return {
    phase: "sending",
    question,
    follows,
    ids: null,
    lastEventId: 0,
    text: "",
    reasoning: "",
    steps: [],
    route: null,
    replaced: null,
    answer: null,
    failure: null,
    stopping: false,
    sentAt: 0,
    heardAt: 0,
    endedAt: 0,
  };
}

/** The state after an event; one that was taken before (its stream is told again) changes nothing. */
export function apply(turn: Turn, event: StreamEvent): Turn {
  if (event.id <= turn.lastEventId || ended(turn)) return turn;
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
      return { ...next, steps: [...turn.steps, { ...event.data, result: null }] };
    case "tool_result":
      return { ...next, steps: withResult(turn.steps, event.data) };
    case "replace": {
      const { text, reason } = event.data;
      // Told again after a cut, the text so far goes on from what was shown: nothing was taken back.
      return { ...next, text, replaced: text.startsWith(turn.text) ? turn.replaced : reason };
    }
    case "done":
      return { ...next, phase: "done", answer: event.data, text: event.data.message.content };
    case "error": {
      const { code, message, request_id } = event.data.error;
      return { ...next, phase: "failed", failure: { code, message, requestId: request_id ?? null } };
    }
  }
}

export function ended(turn: Turn): boolean {
  return turn.phase === "done" || turn.phase === "failed";
}

function withResult(
  steps: readonly ToolStep[],
  { id, name, ok, content, ms }: { id: string; name: string; ok: boolean; content: string; ms: number },
): ToolStep[] {
  const result = { ok, content, ms };
  if (!steps.some((step) => step.id === id)) return [...steps, { id, name, arguments: "", result }];
  return steps.map((step) => (step.id === id ? { ...step, result } : step));
}
