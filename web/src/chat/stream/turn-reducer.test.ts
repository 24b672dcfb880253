import { describe, expect, it } from "vitest";
import type { StreamEvent } from "./events";
import { applyEvent, createTurn, type Turn } from "./turn-reducer";

const IDS = { request_id: "req", conversation_id: "c", user_message_id: "q", message_id: "a" };

function event(id: number, name: string, data: object): StreamEvent {
  return { id, name, data } as unknown as StreamEvent;
}

const EVENTS = [
  event(1, "turn", IDS),
  event(2, "route", { intent: "math", complexity: 0.2, model: "small", provider: "local", reason: "easy" }),
  event(3, "reasoning", { text: "hm" }),
  event(4, "tool_call", { id: "t", name: "calculator", arguments: "{}" }),
  event(5, "tool_result", { id: "t", name: "calculator", ok: true, content: "42", ms: 1 }),
  event(6, "delta", { text: "It " }),
  event(7, "delta", { text: "is 42." }),
  event(8, "done", { message: { content: "It is 42.", status: "complete" }, receipt: {} }),
];

function reduce(events: StreamEvent[], start: Turn = createTurn("question", null)): Turn {
  return events.reduce(applyEvent, start);
}

describe("applyEvent", () => {
  it("builds the answer from all events", () => {
    const turn = reduce(EVENTS);
    expect(turn).toMatchObject({
      phase: "done",
      text: "It is 42.",
      reasoning: "hm",
      ids: IDS,
      lastEventId: 8,
    });
    expect(turn.toolSteps).toEqual([
      { id: "t", name: "calculator", arguments: "{}", result: { ok: true, content: "42", ms: 1 } },
    ]);
    expect(turn.route?.model).toBe("small");
  });

  it("ignores events that are replayed after a reconnect", () => {
    for (let cut = 0; cut <= EVENTS.length; cut += 1)
      for (let from = 0; from <= cut; from += 1)
        expect(reduce([...EVENTS.slice(0, cut), ...EVENTS.slice(from)])).toEqual(reduce(EVENTS));
  });

  it("ignores events after the end", () => {
    expect(reduce([...EVENTS, event(9, "delta", { text: "more" })])).toEqual(reduce(EVENTS));
  });

  it("replaces the text and records the reason", () => {
    const turn = reduce([
      ...EVENTS.slice(0, 6),
      event(7, "replace", { text: "I cannot.", reason: "a leak" }),
    ]);
    expect(turn).toMatchObject({ text: "I cannot.", replacedReason: "a leak" });
    expect(reduce([event(8, "delta", { text: " Really." })], turn).text).toBe("I cannot. Really.");
  });

  it("does not record a reason if the text so far is sent after a reconnect", () => {
    const turn = reduce([...EVENTS.slice(0, 6), event(9, "replace", { text: "It is", reason: "resumed" })]);
    expect(turn).toMatchObject({ text: "It is", replacedReason: null });
  });

  it("keeps the text of a failed turn", () => {
    const error = {
      error: { type: "upstream_error", code: "upstream_failed", message: "It broke.", request_id: "r" },
    };
    expect(reduce([...EVENTS.slice(0, 6), event(7, "error", error)])).toMatchObject({
      phase: "failed",
      text: "It ",
      error: { code: "upstream_failed", message: "It broke.", requestId: "r" },
    });
  });

  it("shows a tool result without its call", () => {
    const turn = reduce([EVENTS[0] as StreamEvent, EVENTS[4] as StreamEvent]);
    expect(turn.toolSteps).toMatchObject([{ id: "t", result: { content: "42" } }]);
  });
});
