import { describe, expect, it } from "vitest";
import { lastDays, thisMonth } from "./range";

const NOW = new Date("2026-03-01T02:00:00Z");

describe("days of figures", () => {
  it("are those of the zone", () => {
    expect(lastDays(2, "Asia/Seoul", NOW)).toEqual({
      from: "2026-02-28",
      to: "2026-03-01",
      tz: "Asia/Seoul",
    });
    expect(lastDays(1, "America/New_York", NOW).to).toBe("2026-02-28");
  });

  it("are those of UTC where the address names a zone that there is not", () => {
    for (const zone of ["Nowhere/Atlantis", "", "../etc/passwd"])
      expect(lastDays(1, zone, NOW)).toEqual({ from: "2026-03-01", to: "2026-03-01", tz: "UTC" });
  });

  it("of a month begin with its first", () => {
    expect(thisMonth(new Date("2026-02-28T23:59:00Z"))).toEqual({
      from: "2026-02-01",
      to: "2026-02-28",
      tz: "UTC",
    });
  });
});
