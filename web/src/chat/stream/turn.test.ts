import { describe, expect, it } from "vitest";
import type { StreamEvent } from "./events";
import { apply, newTurn, type Turn } from "./turn";

const IDS = { request_id: "req", conversation_id: "c", user_message_id: "q", message_id: "a" };

function event(id: number, name: string, data: object): StreamEvent {
  return { id, name, data } as unknown as StreamEvent;
}

const WHOLE = [
  event(1, "turn", IDS),
  event(2, "route", { intent: "math", complexity: 0.2, model: "small", provider: "local", reason: "easy" }),
  event(3, "reasoning", { text: "hm" }),
  event(4, "tool_call", { id: "t", name: "calculator", arguments: "{}" }),
  event(5, "tool_result", { id: "t", name: "calculator", ok: true, content: "42", ms: 1 }),
  event(6, "delta", { text: "It " }),
  event(7, "delta", { text: "is 42." }),
  event(8, "done", { message: { content: "It is 42.", status: "complete" }, receipt: {} }),
];

function outcome(events: StreamEvent[], start: Turn = newTurn("question", null)): Turn {
  return events.reduce(apply, start);
}

describe("a turn's events", () => {
  it("add up to the answer", () => {
    const turn = outcome(WHOLE);
    expect(turn).toMatchObject({
      phase: "done",
      text: "It is 42.",
      reasoning: "hm",
      ids: IDS,
      lastEventId: 8,
    });
    expect(turn.steps).toEqual([
      { id: "t", name: "calculator", arguments: "{}", result: { ok: true, content: "42", ms: 1 } },
    ]);
    expect(turn.route?.model).toBe("small");
  });

  it("told again from any point, in whole or in part, lose and repeat nothing", () => {
    for (let cut = 0; cut <= WHOLE.length; cut += 1)
      for (let from = 0; from <= cut; from += 1)
        expect(outcome([...WHOLE.slice(0, cut), ...WHOLE.slice(from)])).toEqual(outcome(WHOLE));
  });

  it("after the end change nothing", () => {
    expect(outcome([...WHOLE, event(9, "delta", { text: "more" })])).toEqual(outcome(WHOLE));
  });

  it("that replace the text say why, and forget what was shown", () => {
    const turn = outcome([
      ...WHOLE.slice(0, 6),
      event(7, "replace", { text: "I cannot.", reason: "a leak" }),
    ]);
    expect(turn).toMatchObject({ text: "I cannot.", replaced: "a leak" });
    expect(outcome([event(8, "delta", { text: " Really." })], turn).text).toBe("I cannot. Really.");
  });

  it("that make up for a cut with the text so far take nothing back", () => {
    const turn = outcome([
      ...WHOLE.slice(0, 6),
      event(9, "replace", { text: "It is", reason: "taken up again" }),
    ]);
    expect(turn).toMatchObject({ text: "It is", replaced: null });
  });

  it("that end in an error keep what was said", () => {
    const error = {
      error: { type: "upstream_error", code: "upstream_failed", message: "It broke.", request_id: "r" },
    };
    expect(outcome([...WHOLE.slice(0, 6), event(7, "error", error)])).toMatchObject({
      phase: "failed",
      text: "It ",
      failure: { code: "upstream_failed", message: "It broke.", requestId: "r" },
    });
  });

  it("of a tool's result without its call still show it", () => {
    const turn = outcome([WHOLE[0] as StreamEvent, WHOLE[4] as StreamEvent]);
    expect(turn.steps).toMatchObject([{ id: "t", result: { content: "42" } }]);
  });
});
