/** What is shown of an answer, for running turns and for stored messages. */
import type { Message, MessageDetails, Receipt } from "../../api/types";
import type { ToolStep, Turn, TurnError } from "../stream/turn-reducer";

export type AnswerState =
  | "waiting"
  | "writing"
  | "reconnecting"
  | "complete"
  | "failed"
  | "cancelled"
  | "interrupted";

/** The states of a running answer. */
export const IN_PROGRESS: ReadonlySet<AnswerState> = new Set<AnswerState>([
  "waiting",
  "writing",
  "reconnecting",
]);

export interface AnswerView {
  id: string | null;
  state: AnswerState;
  text: string;
  reasoning: string;
  toolSteps: readonly ToolStep[];
  /** Whether the stored reasoning and tool results are truncated. */
  detailsTruncated: boolean;
  model: string;
  provider: string;
  finishReason: string | null;
  error: TurnError | null;
  replacedReason: string | null;
  costUsd: string | null;
  receipt: Receipt | null;
  requestId: string | null;
  /** From sending the question to the end of the answer; null if unknown. */
  durationMs: number | null;
  /** Milliseconds since 1970; 0 unless the answer is running in this tab. */
  sentAt: number;
  lastEventAt: number;
  siblings: Pick<Message, "id" | "siblings"> | null;
}

export function viewFromTurn(turn: Turn): AnswerView {
  const { answer, route } = turn;
  return {
    id: turn.ids?.message_id ?? null,
    state: turnState(turn),
    text: turn.text,
    reasoning: turn.reasoning,
    toolSteps: turn.toolSteps,
    detailsTruncated: false,
    model: answer?.message.model ?? route?.model ?? "",
    provider: answer?.message.provider ?? route?.provider ?? "",
    finishReason: answer?.message.finish_reason ?? null,
    error: turn.error,
    replacedReason: turn.replacedReason,
    costUsd: answer?.message.cost_usd ?? null,
    receipt: answer?.receipt ?? null,
    requestId: turn.ids?.request_id || turn.error?.requestId || null,
    durationMs: durationOf(turn, answer?.receipt ?? null),
    sentAt: turn.sentAt,
    lastEventAt: turn.lastEventAt,
    siblings: null,
  };
}

/** `cachedTurn` is the turn that created the message, if it ended in this tab. */
export function viewFromMessage(message: Message, cachedTurn: Turn | undefined): AnswerView {
  const receipt = message.receipt as Receipt | null;
  const { details } = message;
  const error = message.error as { code?: string; message?: string } | null;
  return {
    id: message.id,
    state: messageState(message.status),
    text: message.content,
    reasoning: cachedTurn?.reasoning || (details?.reasoning ?? ""),
    toolSteps: cachedTurn?.toolSteps.length ? cachedTurn.toolSteps : storedToolSteps(details, receipt),
    detailsTruncated: details?.truncated === true && !cachedTurn?.reasoning && !cachedTurn?.toolSteps.length,
    model: message.model ?? "",
    provider: message.provider ?? "",
    finishReason: message.finish_reason,
    error: error
      ? { code: error.code ?? "", message: error.message ?? "", requestId: message.request_id }
      : null,
    replacedReason: cachedTurn?.replacedReason ?? null,
    costUsd: message.cost_usd,
    receipt,
    requestId: message.request_id ?? cachedTurn?.ids?.request_id ?? null,
    durationMs: durationOf(cachedTurn, receipt),
    sentAt: 0,
    lastEventAt: 0,
    siblings: message,
  };
}

function turnState(turn: Turn): AnswerState {
  if (turn.phase === "reconnecting") return "reconnecting";
  if (turn.phase === "failed") return turn.error?.code === "overloaded" ? "interrupted" : "failed";
  if (turn.phase === "done") return messageState(turn.answer?.message.status ?? "complete");
  return turn.text || turn.reasoning || turn.toolSteps.length > 0 ? "writing" : "waiting";
}

function messageState(status: string): AnswerState {
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

/** The stored tool calls; for answers older than this storage, their names and times from the receipt. */
function storedToolSteps(details: MessageDetails | null, receipt: Receipt | null): ToolStep[] {
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

/** Measured by this tab if it ran here; else the sum of the gateway's steps or of its model calls. */
function durationOf(turn: Turn | undefined, receipt: Receipt | null): number | null {
  if (turn?.sentAt && turn.endedAt) return turn.endedAt - turn.sentAt;
  if (!receipt) return null;
  const steps = Object.values(receipt.nodes_ms).reduce((sum, ms) => sum + ms, 0);
  const calls = receipt.attempts.reduce((sum, { ms }) => sum + ms, 0);
  return Math.max(steps, calls) || null;
}
