/** The running turns of this tab. They live outside React, so they continue while other pages are shown. */
import { useSyncExternalStore } from "react";
import { onSessionEnd } from "../../api/access-token";
import { requestJson } from "../../api/client";
import { ApiError, errorMessage } from "../../api/errors";
import { toastError } from "../../ui/toast";
import { streamTurn, type TurnConsumer, type TurnRequest } from "./connection";
import type { StreamEvent, TurnIds } from "./events";
import { applyEvent, createTurn, isFinished, type Turn } from "./turn-reducer";

/** The key of a conversation that has no id yet. */
export const NEW_CONVERSATION = "new";

export interface TurnCallbacks {
  /** The gateway has accepted the question; `previousKey` is the conversation's key until then. */
  onStart: (ids: TurnIds, previousKey: string, turn: Turn) => void;
  /** The turn has ended and is stored; it stays visible until the promise settles. */
  onEnd: (turn: Turn) => Promise<unknown>;
  /** The gateway has rejected the question; nothing is stored. */
  onRejected: (error: unknown, turn: Turn) => void;
}

interface ActiveTurn {
  turn: Turn;
  conversationKey: string;
  abort: AbortController;
}

/** By conversation id, or `NEW_CONVERSATION`. */
const activeTurns = new Map<string, ActiveTurn>();
let snapshot = new Map<string, Turn>();
/** By message id: turns that ended in this tab, with details that the API does not return. */
const finishedTurns = new Map<string, Turn>();
const MAX_FINISHED_TURNS = 50;
const listeners = new Set<() => void>();
let pendingFrame = 0;

onSessionEnd(() => {
  for (const active of activeTurns.values()) active.abort.abort();
  activeTurns.clear();
  finishedTurns.clear();
  schedulePublish();
});

/** The running turn of a conversation, updated at most once per frame. */
export function useTurn(conversationKey: string): Turn | undefined {
  return useSyncExternalStore(subscribe, () => snapshot.get(conversationKey));
}

/** Whether a conversation has a running turn; unlike `useTurn` it does not change with every event. */
export function useTurnStatus(conversationKey: string): { running: boolean; stopping: boolean } {
  const status = useSyncExternalStore(subscribe, () => {
    const turn = snapshot.get(conversationKey);
    return turn ? (turn.stopping ? "stopping" : "running") : "idle";
  });
  return { running: status !== "idle", stopping: status === "stopping" };
}

export function hasActiveTurn(conversationKey: string): boolean {
  return activeTurns.has(conversationKey);
}

/** The turn that created an answer, if it ended in this tab. */
export function cachedTurn(messageId: string): Turn | undefined {
  return finishedTurns.get(messageId);
}

/** Sends a question, or asks for another answer, and streams the result. */
export function startTurn(
  conversationKey: string,
  turn: Turn,
  turnRequest: TurnRequest,
  callbacks: TurnCallbacks,
): void {
  const now = Date.now();
  const sent = { ...turn, sentAt: now, lastEventAt: now };
  void run({ turn: sent, conversationKey, abort: new AbortController() }, turnRequest, callbacks);
}

/** Streams a running answer from its first event. */
export function resumeTurn(conversationKey: string, ids: TurnIds, callbacks: TurnCallbacks): void {
  const turn: Turn = {
    ...createTurn(null, ids.user_message_id),
    ids,
    phase: "reconnecting",
    lastEventAt: Date.now(),
  };
  void run({ turn, conversationKey, abort: new AbortController() }, null, callbacks);
}

/** Asks the gateway to cancel the running turn; it stores the text so far. */
export function stopTurn(conversationKey: string): void {
  const active = activeTurns.get(conversationKey);
  if (!active || active.turn.stopping) return;
  active.turn = { ...active.turn, stopping: true };
  schedulePublish();
  if (active.turn.ids) void requestCancel(active, active.turn.ids);
}

async function requestCancel(active: ActiveTurn, ids: TurnIds): Promise<void> {
  try {
    await requestJson(`/api/chat/${ids.message_id}/cancel`, { method: "POST" });
  } catch (error) {
    active.turn = { ...active.turn, stopping: false };
    schedulePublish();
    const alreadyEnded = error instanceof ApiError && (error.status === 404 || error.status === 409);
    if (!alreadyEnded) toastError(error);
  }
}

async function run(
  active: ActiveTurn,
  turnRequest: TurnRequest | null,
  callbacks: TurnCallbacks,
): Promise<void> {
  activeTurns.set(active.conversationKey, active);
  schedulePublish();
  try {
    await streamTurn(turnRequest, consumerFor(active, callbacks), active.abort.signal);
    if (!active.abort.signal.aborted) await finish(active, callbacks);
  } catch (error) {
    if (active.turn.ids) {
      active.turn = { ...active.turn, phase: "failed", error: toTurnError(error) };
      await finish(active, callbacks);
    } else callbacks.onRejected(error, active.turn);
  } finally {
    if (activeTurns.get(active.conversationKey) === active) activeTurns.delete(active.conversationKey);
    schedulePublish();
  }
}

function consumerFor(active: ActiveTurn, callbacks: TurnCallbacks): TurnConsumer {
  return {
    onEvent: (event) => handleEvent(active, event, callbacks),
    progress: () => ({
      messageId: active.turn.ids?.message_id ?? null,
      lastEventId: active.turn.lastEventId,
      finished: isFinished(active.turn),
    }),
    onDisconnect: () => {
      if (active.turn.ids) active.turn = { ...active.turn, phase: "reconnecting" };
      schedulePublish();
    },
  };
}

function handleEvent(active: ActiveTurn, event: StreamEvent, callbacks: TurnCallbacks): void {
  const before = active.turn;
  active.turn = { ...applyEvent(before, event), lastEventAt: Date.now() };
  if (active.turn.ids && !before.ids) handleStart(active, active.turn.ids, callbacks);
  schedulePublish();
}

function handleStart(active: ActiveTurn, ids: TurnIds, callbacks: TurnCallbacks): void {
  const previousKey = active.conversationKey;
  if (previousKey === NEW_CONVERSATION) {
    activeTurns.delete(NEW_CONVERSATION);
    active.conversationKey = ids.conversation_id;
    activeTurns.set(active.conversationKey, active);
    publish();
  }
  callbacks.onStart(ids, previousKey, active.turn);
  if (active.turn.stopping) void requestCancel(active, ids);
}

async function finish(active: ActiveTurn, callbacks: TurnCallbacks): Promise<void> {
  active.turn = { ...active.turn, endedAt: Date.now() };
  publish();
  if (active.turn.ids) {
    finishedTurns.set(active.turn.ids.message_id, active.turn);
    if (finishedTurns.size > MAX_FINISHED_TURNS)
      finishedTurns.delete(finishedTurns.keys().next().value as string);
  }
  await callbacks.onEnd(active.turn).catch(toastError);
}

function toTurnError(error: unknown): Turn["error"] {
  if (error instanceof ApiError)
    return { code: error.code, message: error.message, requestId: error.requestId };
  return { code: "unknown", message: errorMessage(error), requestId: null };
}

function schedulePublish(): void {
  pendingFrame ||= requestAnimationFrame(publish);
}

function publish(): void {
  cancelAnimationFrame(pendingFrame);
  pendingFrame = 0;
  snapshot = new Map([...activeTurns].map(([key, { turn }]) => [key, turn]));
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
