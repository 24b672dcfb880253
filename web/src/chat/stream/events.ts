/** The events of the gateway's native stream (see docs/API.md) and their parser. */
import { createParser } from "eventsource-parser";
import type { ErrorResponse } from "../../api/errors";
import type { Answer } from "../../api/types";

export interface RouteInfo {
  intent: string;
  complexity: number;
  model: string;
  provider: string;
  reason: string;
}

export type StreamEvent = { id: number } & (
  | { name: "turn"; data: TurnIds }
  | { name: "route"; data: RouteInfo }
  | { name: "delta"; data: { text: string } }
  | { name: "reasoning"; data: { text: string } }
  | { name: "tool_call"; data: { id: string; name: string; arguments: string } }
  | { name: "tool_result"; data: { id: string; name: string; ok: boolean; content: string; ms: number } }
  | { name: "replace"; data: { text: string; reason: string } }
  | { name: "done"; data: Answer }
  | { name: "error"; data: ErrorResponse }
);

export interface TurnIds {
  request_id: string;
  conversation_id: string;
  user_message_id: string | null;
  message_id: string;
}

const EVENT_NAMES = new Set([
  "turn",
  "route",
  "delta",
  "reasoning",
  "tool_call",
  "tool_result",
  "replace",
  "done",
  "error",
]);

/** Reads until the stream ends. Returns also if the connection was cut: only `done` or `error` mark the end. */
export async function readStream(
  body: ReadableStream<Uint8Array>,
  onEvent: (event: StreamEvent) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  const parser = createParser({
    onEvent: ({ id, event, data }) => {
      // Clients must ignore unknown event names, which later versions may add.
      if (event && EVENT_NAMES.has(event))
        onEvent({ id: Number(id), name: event, data: JSON.parse(data) } as StreamEvent);
    },
  });
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      parser.feed(decoder.decode(value, { stream: true }));
    }
  } finally {
    reader.cancel().catch(() => undefined);
  }
}
