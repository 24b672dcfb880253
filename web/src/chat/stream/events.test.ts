import { describe, expect, it } from "vitest";
import { readStream, type StreamEvent } from "./events";

const STREAM =
  'id: 1\nevent: turn\ndata: {"message_id":"a"}\n\n: heartbeat\n\nid: 2\nevent: delta\ndata: {"text":"안녕 👋"}\n\n' +
  'id: 3\nevent: future\ndata: {"x":1}\n\nid: 4\nevent: delta\ndata: {"text":"!"}\n\n';

async function read(chunks: Uint8Array[]): Promise<StreamEvent[]> {
  const events: StreamEvent[] = [];
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });
  await readStream(body, (event) => events.push(event));
  return events;
}

describe("readStream", () => {
  it("parses any chunking, and skips comments and unknown events", async () => {
    const bytes = new TextEncoder().encode(STREAM);
    const events = await read([bytes]);
    expect(events.map(({ id, name }) => [id, name])).toEqual([
      [1, "turn"],
      [2, "delta"],
      [4, "delta"],
    ]);
    expect(events[1]?.data).toEqual({ text: "안녕 👋" });
    expect(await read([...bytes].map((byte) => Uint8Array.of(byte)))).toEqual(events);
  });

  it("drops an incomplete event at the end", async () => {
    const bytes = new TextEncoder().encode(STREAM.slice(0, STREAM.indexOf("!") + 1));
    expect((await read([bytes])).map(({ id }) => id)).toEqual([1, 2]);
  });
});
