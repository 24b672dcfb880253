/** One turn from its sending to its end, over as many connections as it takes. */
import { request } from "../../api/client";
import { ApiError, UNREACHABLE } from "../../api/errors";
import { readStream, type StreamEvent } from "./events";

export interface Sending {
  path: string;
  body: object;
}

export interface Followed {
  /** Takes an event; returns where the turn stands. */
  take: (event: StreamEvent) => void;
  /** The answer's id once it is known, the last event taken, whether the end has come. */
  standing: () => { messageId: string | null; lastEventId: number; ended: boolean };
  /** The wire was cut; it is taken up again in a moment. */
  onCut: () => void;
}

const WAITS_MS = [300, 1000, 2000, 4000, 8000];
/** How often a question is sent whose fate is unknown; the gateway answers the same key once. */
const SENDINGS = 4;

/** Raises ApiError where the turn could not begin or is gone; a turn's own failure is an event. */
export async function follow(sending: Sending | null, turn: Followed, signal: AbortSignal): Promise<void> {
  const key = newKey();
  for (let cuts = 0; ; cuts += 1) {
    const before = turn.standing();
    try {
      const response = await open(sending, key, before, signal);
      if (response.body) await readStream(response.body, turn.take);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && !worthRetrying(error, before.messageId !== null, cuts)) throw error;
    }
    const now = turn.standing();
    if (now.ended || signal.aborted) return;
    if (now.lastEventId > before.lastEventId) cuts = 0;
    turn.onCut();
    await pause(WAITS_MS[Math.min(cuts, WAITS_MS.length - 1)] ?? 1000, signal);
  }
}

function open(
  sending: Sending | null,
  key: string,
  { messageId, lastEventId }: { messageId: string | null; lastEventId: number },
  signal: AbortSignal,
): Promise<Response> {
  if (messageId !== null)
    return request(`/api/chat/stream/${messageId}`, {
      headers: lastEventId > 0 ? { "last-event-id": String(lastEventId) } : {},
      signal,
    });
  if (sending === null) throw new Error("neither sent nor known");
  return request(sending.path, {
    method: "POST",
    body: sending.body,
    headers: { accept: "text/event-stream", "idempotency-key": key },
    signal,
  });
}

function worthRetrying(error: ApiError, known: boolean, cuts: number): boolean {
  if (error.code === UNREACHABLE) return known || cuts + 1 < SENDINGS;
  return known && error.status >= 500;
}

/** Waits; shorter where the browser says that the network is back or the page is looked at again. */
function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      document.removeEventListener("visibilitychange", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    addEventListener("online", done);
    document.addEventListener("visibilitychange", done);
    signal.addEventListener("abort", done);
  });
}

/** 128 random bits; `crypto.randomUUID` is closed to pages on plain http. */
function newKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}
