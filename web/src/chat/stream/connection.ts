/** The connection of one turn: sends the request and reads its event stream, reconnecting as needed. */
import { request } from "../../api/client";
import { ApiError, UNREACHABLE } from "../../api/errors";
import { readStream, type StreamEvent } from "./events";

export interface TurnRequest {
  path: string;
  body: object;
}

export interface TurnProgress {
  /** The answer's id, once it is known. */
  messageId: string | null;
  lastEventId: number;
  finished: boolean;
}

export interface TurnConsumer {
  onEvent: (event: StreamEvent) => void;
  progress: () => TurnProgress;
  /** The connection was lost; it is resumed in a moment. */
  onDisconnect: () => void;
}

const RECONNECT_DELAYS_MS = [300, 1000, 2000, 4000, 8000];
/** Attempts to send a question without knowing whether it arrived; the idempotency key prevents duplicates. */
const MAX_SEND_ATTEMPTS = 4;

/**
 * Streams a turn to its end; a null request resumes a turn that is already running.
 *
 * Throws an `ApiError` if the turn could not be started or no longer exists. An error of the turn itself is an event.
 */
export async function streamTurn(
  turnRequest: TurnRequest | null,
  consumer: TurnConsumer,
  signal: AbortSignal,
): Promise<void> {
  const idempotencyKey = newIdempotencyKey();
  for (let disconnects = 0; ; disconnects += 1) {
    const before = consumer.progress();
    try {
      const response = await openStream(turnRequest, idempotencyKey, before, signal);
      if (response.body) await readStream(response.body, consumer.onEvent);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && !shouldReconnect(error, before.messageId !== null, disconnects))
        throw error;
    }
    const now = consumer.progress();
    if (now.finished || signal.aborted) return;
    if (now.lastEventId > before.lastEventId) disconnects = 0;
    consumer.onDisconnect();
    await waitToReconnect(
      RECONNECT_DELAYS_MS[Math.min(disconnects, RECONNECT_DELAYS_MS.length - 1)] ?? 1000,
      signal,
    );
  }
}

function openStream(
  turnRequest: TurnRequest | null,
  idempotencyKey: string,
  { messageId, lastEventId }: TurnProgress,
  signal: AbortSignal,
): Promise<Response> {
  if (messageId !== null)
    return request(`/api/chat/stream/${messageId}`, {
      headers: lastEventId > 0 ? { "last-event-id": String(lastEventId) } : {},
      signal,
    });
  if (turnRequest === null) throw new Error("a resumed turn needs a message id");
  return request(turnRequest.path, {
    method: "POST",
    body: turnRequest.body,
    headers: { accept: "text/event-stream", "idempotency-key": idempotencyKey },
    signal,
  });
}

function shouldReconnect(error: ApiError, started: boolean, disconnects: number): boolean {
  if (error.code === UNREACHABLE) return started || disconnects + 1 < MAX_SEND_ATTEMPTS;
  return started && error.status >= 500;
}

/** Waits for the delay, or until the network is back or the tab becomes visible. */
function waitToReconnect(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      document.removeEventListener("visibilitychange", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, delayMs);
    addEventListener("online", done);
    document.addEventListener("visibilitychange", done);
    signal.addEventListener("abort", done);
  });
}

/** 128 random bits; `crypto.randomUUID` needs a secure context. */
function newIdempotencyKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}
