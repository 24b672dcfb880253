import { describe, expect, it } from "vitest";
import type { Message } from "../../api/types";
import { createTurn, type Turn } from "../stream/turn-reducer";
import { messagesBeforeTurn, parentForEdit, ROOT_PARENT, siblingPosition } from "./branches";

const messages = ["q1", "a1", "q2", "a2"].map((id) => ({ id })) as Message[];
const ids = (turn: Turn | undefined) => messagesBeforeTurn(messages, turn).map(({ id }) => id);
const known = (user: string, message: string) => ({
  request_id: "r",
  conversation_id: "c",
  user_message_id: user,
  message_id: message,
});

describe("messagesBeforeTurn", () => {
  it("returns the whole branch without a turn, or with a new question at its end", () => {
    expect(ids(undefined)).toEqual(["q1", "a1", "q2", "a2"]);
    expect(ids(createTurn("q3", null))).toEqual(["q1", "a1", "q2", "a2"]);
  });

  it("ends before an edited question", () => {
    expect(ids(createTurn("q2b", "a1"))).toEqual(["q1", "a1"]);
    expect(ids(createTurn("q1b", ROOT_PARENT))).toEqual([]);
  });

  it("ends after a question whose answer is regenerated", () => {
    expect(ids(createTurn(null, "q2"))).toEqual(["q1", "a1", "q2"]);
  });

  it("omits the turn's own messages if they were fetched meanwhile", () => {
    expect(ids({ ...createTurn("q2", null), ids: known("q2", "a2") })).toEqual(["q1", "a1"]);
    expect(ids({ ...createTurn(null, "q2"), ids: known("q2", "a2") })).toEqual(["q1", "a1", "q2"]);
  });
});

describe("siblingPosition", () => {
  it("is null for a message without siblings", () =>
    expect(siblingPosition({ id: "a", siblings: ["a"] })).toBeNull());

  it("counts from one and has the neighbours' ids", () => {
    expect(siblingPosition({ id: "b", siblings: ["a", "b", "c"] })).toEqual({
      index: 2,
      count: 3,
      previous: "a",
      next: "c",
    });
    expect(siblingPosition({ id: "a", siblings: ["a", "b"] })).toEqual({
      index: 1,
      count: 2,
      previous: null,
      next: "b",
    });
  });
});

describe("parentForEdit", () => {
  it("is the root for the first question", () => {
    expect(parentForEdit({ parent_id: null })).toBe(ROOT_PARENT);
    expect(parentForEdit({ parent_id: "a1" })).toBe("a1");
  });
});
