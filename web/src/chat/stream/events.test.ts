import { describe, expect, it } from "vitest";
import { readStream, type StreamEvent } from "./events";

const WIRE =
  'id: 1\nevent: turn\ndata: {"message_id":"a"}\n\n: heartbeat\n\nid: 2\nevent: delta\ndata: {"text":"안녕 👋"}\n\n' +
  'id: 3\nevent: future\ndata: {"x":1}\n\nid: 4\nevent: delta\ndata: {"text":"!"}\n\n';

async function read(chunks: Uint8Array[]): Promise<StreamEvent[]> {
  const taken: StreamEvent[] = [];
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });
  await readStream(body, (event) => taken.push(event));
  return taken;
}

describe("a stream", () => {
  it("is read the same however its bytes are cut, without comments and events from the future", async () => {
    const bytes = new TextEncoder().encode(WIRE);
    const whole = await read([bytes]);
    expect(whole.map(({ id, name }) => [id, name])).toEqual([
      [1, "turn"],
      [2, "delta"],
      [4, "delta"],
    ]);
    expect(whole[1]?.data).toEqual({ text: "안녕 👋" });
    expect(await read([...bytes].map((byte) => Uint8Array.of(byte)))).toEqual(whole);
  });

  it("that is cut inside of an event ends without it", async () => {
    const bytes = new TextEncoder().encode(WIRE.slice(0, WIRE.indexOf("!") + 1));
    expect((await read([bytes])).map(({ id }) => id)).toEqual([1, 2]);
  });
});
