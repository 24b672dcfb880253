/** One shape for what is shown of an answer, whether it is being made or was read. */
import type { Details, Message, Receipt } from "../../api/types";
import type { Failure, ToolStep, Turn } from "../stream/turn";

export type State =
  | "waiting"
  | "writing"
  | "reconnecting"
  | "complete"
  | "failed"
  | "cancelled"
  | "interrupted";

/** States of an answer that is being made. */
export const LIVE: ReadonlySet<State> = new Set<State>(["waiting", "writing", "reconnecting"]);

export interface AnswerView {
  id: string | null;
  state: State;
  text: string;
  reasoning: string;
  steps: readonly ToolStep[];
  /** Whether the gateway kept thoughts and results only in part. */
  shortened: boolean;
  model: string;
  provider: string;
  reason: string;
  finishReason: string | null;
  failure: Failure | null;
  replaced: string | null;
  tokens: number;
  costUsd: string | null;
  receipt: Receipt | null;
  requestId: string | null;
  /** Milliseconds from the question to the end; null where nobody measured it. */
  took: number | null;
  /** Where it is being made: when it was sent, and when something of it came last. */
  sentAt: number;
  heardAt: number;
  siblings: Pick<Message, "id" | "siblings"> | null;
}

export function viewOfTurn(turn: Turn): AnswerView {
  const { answer, route } = turn;
  return {
    id: turn.ids?.message_id ?? null,
    state: stateOfTurn(turn),
    text: turn.text,
    reasoning: turn.reasoning,
    steps: turn.steps,
    shortened: false,
    model: answer?.message.model ?? route?.model ?? "",
    provider: answer?.message.provider ?? route?.provider ?? "",
    reason: answer?.receipt.reason ?? route?.reason ?? "",
    finishReason: answer?.message.finish_reason ?? null,
    failure: turn.failure,
    replaced: turn.replaced,
    tokens: answer?.message.usage.total_tokens ?? 0,
    costUsd: answer?.message.cost_usd ?? null,
    receipt: answer?.receipt ?? null,
    requestId: turn.ids?.request_id || turn.failure?.requestId || null,
    took: tookOf(turn, answer?.receipt ?? null),
    sentAt: turn.sentAt,
    heardAt: turn.heardAt,
    siblings: null,
  };
}

/** `seen` is what this tab saw of its making, if it did. */
export function viewOfMessage(message: Message, seen: Turn | undefined): AnswerView {
  const receipt = message.receipt as Receipt | null;
  const { details } = message;
  const error = message.error as { code?: string; message?: string } | null;
  return {
    id: message.id,
    state: stateOfMessage(message.status),
    text: message.content,
    reasoning: seen?.reasoning || (details?.reasoning ?? ""),
    steps: seen?.steps.length ? seen.steps : keptSteps(details, receipt),
    shortened: details?.truncated === true && !seen?.reasoning && !seen?.steps.length,
    model: message.model ?? "",
    provider: message.provider ?? "",
    reason: receipt?.reason ?? "",
    finishReason: message.finish_reason,
    failure: error
      ? { code: error.code ?? "", message: error.message ?? "", requestId: message.request_id }
      : null,
    replaced: seen?.replaced ?? null,
    tokens: message.usage.total_tokens,
    costUsd: message.cost_usd,
    receipt,
    requestId: message.request_id ?? seen?.ids?.request_id ?? null,
    took: tookOf(seen, receipt),
    sentAt: 0,
    heardAt: 0,
    siblings: message,
  };
}

function stateOfTurn(turn: Turn): State {
  if (turn.phase === "reconnecting") return "reconnecting";
  if (turn.phase === "failed") return turn.failure?.code === "overloaded" ? "interrupted" : "failed";
  if (turn.phase === "done") return stateOfMessage(turn.answer?.message.status ?? "complete");
  return turn.text || turn.reasoning || turn.steps.length > 0 ? "writing" : "waiting";
}

function stateOfMessage(status: string): State {
  switch (status) {
    case "failed":
    case "cancelled":
    case "interrupted":
    case "complete":
      return status;
    default:
      return "waiting";
  }
}

/** What tools said; of answers from before it was kept, only their names and times, from the receipt. */
function keptSteps(details: Details | null, receipt: Receipt | null): ToolStep[] {
  if (details?.tools.length)
    return details.tools.map(({ id, name, arguments: given, ok, ms, content }, index) => ({
      id: `${index} ${id}`,
      name,
      arguments: given,
      result: { ok: ok === true, content: content ?? "", ms: ms ?? 0 },
    }));
  return (receipt?.tools ?? []).map((run, index) => ({
    id: String(run.id ?? index),
    name: String(run.name ?? ""),
    arguments: "",
    result: { ok: run.ok === true, content: "", ms: Number(run.ms ?? 0) },
  }));
}

/** By the clock of the tab that saw it; else what the gateway measured of its steps, or of its calls. */
function tookOf(seen: Turn | undefined, receipt: Receipt | null): number | null {
  if (seen?.sentAt && seen.endedAt) return seen.endedAt - seen.sentAt;
  if (!receipt) return null;
  const steps = Object.values(receipt.nodes_ms).reduce((sum, ms) => sum + ms, 0);
  const calls = receipt.attempts.reduce((sum, { ms }) => sum + ms, 0);
  return Math.max(steps, calls) || null;
}
