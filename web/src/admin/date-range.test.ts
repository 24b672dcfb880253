import { describe, expect, it } from "vitest";
import { daysBetween, lastDays, thisMonth } from "./date-range";

const NOW = new Date("2026-03-01T02:00:00Z");

describe("lastDays", () => {
  it("uses the days of the time zone", () => {
    expect(lastDays(2, "Asia/Seoul", NOW)).toEqual({
      from: "2026-02-28",
      to: "2026-03-01",
      tz: "Asia/Seoul",
    });
    expect(lastDays(1, "America/New_York", NOW).to).toBe("2026-02-28");
  });

  it("falls back to UTC if the time zone does not exist", () => {
    for (const zone of ["Nowhere/Atlantis", "", "../etc/passwd"])
      expect(lastDays(1, zone, NOW)).toEqual({ from: "2026-03-01", to: "2026-03-01", tz: "UTC" });
  });
});

describe("thisMonth", () => {
  it("starts on the first of the month", () => {
    expect(thisMonth(new Date("2026-02-28T23:59:00Z"))).toEqual({
      from: "2026-02-01",
      to: "2026-02-28",
      tz: "UTC",
    });
  });
});

describe("daysBetween", () => {
  it("lists all days across a month's end, and none of an invalid range", () => {
    expect(daysBetween("2026-02-27", "2026-03-01")).toEqual(["2026-02-27", "2026-02-28", "2026-03-01"]);
    expect(daysBetween("2026-03-01", "2026-02-27")).toEqual([]);
    expect(daysBetween("nonsense", "2026-02-27")).toEqual([]);
  });
});
