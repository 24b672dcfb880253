/** The native stream's events, as `docs/API.md` has them, and how they are read from a response. */
import { createParser } from "eventsource-parser";
import type { ErrorBody } from "../../api/errors";
import type { Answer } from "../../api/types";

export interface Route {
  intent: string;
  complexity: number;
  model: string;
  provider: string;
  reason: string;
}

export type StreamEvent = { id: number } & (
  | { name: "turn"; data: TurnIds }
  | { name: "route"; data: Route }
  | { name: "delta"; data: { text: string } }
  | { name: "reasoning"; data: { text: string } }
  | { name: "tool_call"; data: { id: string; name: string; arguments: string } }
  | { name: "tool_result"; data: { id: string; name: string; ok: boolean; content: string; ms: number } }
  | { name: "replace"; data: { text: string; reason: string } }
  | { name: "done"; data: Answer }
  | { name: "error"; data: ErrorBody }
);

export interface TurnIds {
  request_id: string;
  conversation_id: string;
  user_message_id: string | null;
  message_id: string;
}

const NAMES = new Set([
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

/** Reads to the stream's end or cut; both return, since only `done` and `error` tell them apart. */
export async function readStream(
  body: ReadableStream<Uint8Array>,
  take: (event: StreamEvent) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  const parser = createParser({
    onEvent: ({ id, event, data }) => {
      // A name from the future is passed over, as the contract asks of clients.
      if (event && NAMES.has(event))
        take({ id: Number(id), name: event, data: JSON.parse(data) } as StreamEvent);
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
