import { describe, expect, it } from "vitest";
import type { Conversation } from "../../api/types";
import { groupByDate } from "./date-groups";

const now = new Date(2026, 10, 26, 0, 30);
const item = (date: Date) => ({ id: date.toISOString(), updated_at: date.toISOString() }) as Conversation;

describe("groupByDate", () => {
  it("groups by days of local time", () => {
    const dates = [
      new Date(2026, 10, 26, 0, 10),
      new Date(2026, 10, 25, 23, 50),
      new Date(2026, 10, 20),
      new Date(2026, 9, 30),
      new Date(2025, 0, 1),
    ];
    expect(groupByDate(dates.map(item), now).map(({ name, items }) => [name, items.length])).toEqual([
      ["today", 1],
      ["yesterday", 1],
      ["week", 1],
      ["month", 1],
      ["older", 1],
    ]);
  });

  it("counts future dates as today, and has no groups without conversations", () => {
    expect(groupByDate([item(new Date(2026, 10, 27))], now)[0]?.name).toBe("today");
    expect(groupByDate([], now)).toEqual([]);
  });
});
