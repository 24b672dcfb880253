/** The turns under way in this tab, outside of React: they go on whatever page is shown. */
import { useSyncExternalStore } from "react";
import { call } from "../../api/client";
import { ApiError, sayError } from "../../api/errors";
import { onSessionEnd } from "../../session/token";
import { toastError } from "../../ui/toast";
import type { StreamEvent, TurnIds } from "./events";
import { follow, type Sending } from "./run";
import { apply, ended, newTurn, type Turn } from "./turn";

/** The place of a turn whose conversation has no id yet. */
export const NEW = "new";

export interface Hooks {
  /** The gateway has taken the question; `place` is where the turn was until then. */
  onStart: (ids: TurnIds, place: string, turn: Turn) => void;
  /** The turn has ended and is written down. What it shows stays until the promise is settled. */
  onEnd: (turn: Turn) => Promise<unknown>;
  /** The question was not taken: nothing is written down. */
  onRefused: (error: unknown, turn: Turn) => void;
}

interface Running {
  turn: Turn;
  place: string;
  abort: AbortController;
}

/** By place: a conversation's id, or NEW. */
const running = new Map<string, Running>();
let shown = new Map<string, Turn>();
/** What the gateway does not keep of turns that ended in this tab: results of tools, thoughts. */
const remembered = new Map<string, Turn>();
const REMEMBERED = 50;
const listeners = new Set<() => void>();
let frame = 0;

onSessionEnd(() => {
  for (const one of running.values()) one.abort.abort();
  running.clear();
  remembered.clear();
  publish();
});

/** The turn of a place, at most one change a frame. */
export function useTurn(place: string): Turn | undefined {
  return useSyncExternalStore(subscribe, () => shown.get(place));
}

/** Whether a turn is under way there, without a change for each of its words. */
export function useStanding(place: string): { running: boolean; stopping: boolean } {
  const standing = useSyncExternalStore(subscribe, () => {
    const turn = shown.get(place);
    return turn ? (turn.stopping ? "stopping" : "running") : "idle";
  });
  return { running: standing !== "idle", stopping: standing === "stopping" };
}

export function isRunning(place: string): boolean {
  return running.has(place);
}

/** What this tab has seen of an answer's making. */
export function recall(messageId: string): Turn | undefined {
  return remembered.get(messageId);
}

/** Sends a question (or asks for another answer) and follows it. */
export function start(place: string, turn: Turn, sending: Sending, hooks: Hooks): void {
  const now = Date.now();
  const sent = { ...turn, sentAt: now, heardAt: now };
  void drive({ turn: sent, place, abort: new AbortController() }, sending, hooks);
}

/** Follows an answer that is being written, from its first event. */
export function takeUp(place: string, ids: TurnIds, hooks: Hooks): void {
  const turn: Turn = {
    ...newTurn(null, ids.user_message_id),
    ids,
    phase: "reconnecting",
    heardAt: Date.now(),
  };
  void drive({ turn, place, abort: new AbortController() }, null, hooks);
}

/** Asks the gateway to end the turn; what came until then is kept. */
export function stop(place: string): void {
  const one = running.get(place);
  if (!one || one.turn.stopping) return;
  one.turn = { ...one.turn, stopping: true };
  publish();
  if (one.turn.ids) void cancel(one, one.turn.ids);
}

async function cancel(one: Running, ids: TurnIds): Promise<void> {
  try {
    await call(`/api/chat/${ids.message_id}/cancel`, { method: "POST" });
  } catch (error) {
    one.turn = { ...one.turn, stopping: false };
    publish();
    // It had ended meanwhile: there is nothing to stop.
    if (!(error instanceof ApiError && (error.status === 404 || error.status === 409))) toastError(error);
  }
}

async function drive(one: Running, sending: Sending | null, hooks: Hooks): Promise<void> {
  running.set(one.place, one);
  publish();
  try {
    await follow(
      sending,
      {
        take: (event) => take(one, event, hooks),
        standing: () => ({
          messageId: one.turn.ids?.message_id ?? null,
          lastEventId: one.turn.lastEventId,
          ended: ended(one.turn),
        }),
        onCut: () => {
          if (one.turn.ids) one.turn = { ...one.turn, phase: "reconnecting" };
          publish();
        },
      },
      one.abort.signal,
    );
    if (!one.abort.signal.aborted) await conclude(one, hooks);
  } catch (error) {
    if (one.turn.ids) {
      one.turn = { ...one.turn, phase: "failed", failure: failureOf(error) };
      await conclude(one, hooks);
    } else hooks.onRefused(error, one.turn);
  } finally {
    if (running.get(one.place) === one) running.delete(one.place);
    publish();
  }
}

function take(one: Running, event: StreamEvent, hooks: Hooks): void {
  const before = one.turn;
  one.turn = { ...apply(before, event), heardAt: Date.now() };
  if (one.turn.ids && !before.ids) {
    const place = one.place;
    if (place === NEW) {
      running.delete(NEW);
      one.place = one.turn.ids.conversation_id;
      running.set(one.place, one);
      publishNow();
    }
    hooks.onStart(one.turn.ids, place, one.turn);
    if (one.turn.stopping) void cancel(one, one.turn.ids);
  }
  publish();
}

async function conclude(one: Running, hooks: Hooks): Promise<void> {
  one.turn = { ...one.turn, endedAt: Date.now() };
  publishNow();
  if (one.turn.ids) {
    remembered.set(one.turn.ids.message_id, one.turn);
    if (remembered.size > REMEMBERED) remembered.delete(remembered.keys().next().value as string);
  }
  await hooks.onEnd(one.turn).catch(toastError);
}

function failureOf(error: unknown): Turn["failure"] {
  if (error instanceof ApiError)
    return { code: error.code, message: error.message, requestId: error.requestId };
  return { code: "unknown", message: sayError(error), requestId: null };
}

function publish(): void {
  frame ||= requestAnimationFrame(publishNow);
}

function publishNow(): void {
  cancelAnimationFrame(frame);
  frame = 0;
  shown = new Map([...running].map(([place, one]) => [place, one.turn]));
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
