import { describe, expect, it } from "vitest";
import type { Message } from "../api/types";
import { beforeTurn, followedBy, placeOf, ROOT } from "./branches";
import { newTurn, type Turn } from "./stream/turn";

const messages = ["q1", "a1", "q2", "a2"].map((id) => ({ id })) as Message[];
const ids = (turn: Turn | undefined) => beforeTurn(messages, turn).map(({ id }) => id);
const known = (user: string, message: string) => ({
  request_id: "r",
  conversation_id: "c",
  user_message_id: user,
  message_id: message,
});

describe("what is read before a turn", () => {
  it("is the whole branch where nothing is under way, or a question follows it", () => {
    expect(ids(undefined)).toEqual(["q1", "a1", "q2", "a2"]);
    expect(ids(newTurn("q3", null))).toEqual(["q1", "a1", "q2", "a2"]);
  });

  it("ends where an edited question stood", () => {
    expect(ids(newTurn("q2b", "a1"))).toEqual(["q1", "a1"]);
    expect(ids(newTurn("q1b", ROOT))).toEqual([]);
  });

  it("ends behind the question that is answered again", () => {
    expect(ids(newTurn(null, "q2"))).toEqual(["q1", "a1", "q2"]);
  });

  it("leaves out the turn's own messages where they were read meanwhile", () => {
    expect(ids({ ...newTurn("q2", null), ids: known("q2", "a2") })).toEqual(["q1", "a1"]);
    expect(ids({ ...newTurn(null, "q2"), ids: known("q2", "a2") })).toEqual(["q1", "a1", "q2"]);
  });
});

describe("a message's place", () => {
  it("is none where it stands alone", () => expect(placeOf({ id: "a", siblings: ["a"] })).toBeNull());

  it("is counted from one, with its neighbours", () => {
    expect(placeOf({ id: "b", siblings: ["a", "b", "c"] })).toEqual({
      at: 2,
      of: 3,
      previous: "a",
      next: "c",
    });
    expect(placeOf({ id: "a", siblings: ["a", "b"] })).toEqual({ at: 1, of: 2, previous: null, next: "b" });
  });

  it("of an edited first question is behind none", () => {
    expect(followedBy({ parent_id: null })).toBe(ROOT);
    expect(followedBy({ parent_id: "a1" })).toBe("a1");
  });
});
