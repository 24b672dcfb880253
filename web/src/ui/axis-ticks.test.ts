import { describe, expect, it } from "vitest";
import { axisTicks } from "./axis-ticks";

describe("axisTicks", () => {
  it("uses round steps", () => {
    expect(axisTicks(340, true)).toEqual([0, 100, 200, 300, 400]);
    expect(axisTicks(1, true)).toEqual([0, 1]);
    expect(axisTicks(3, true)).toEqual([0, 1, 2, 3]);
    expect(axisTicks(0.0042, false)).toEqual([0, 0.002, 0.004, 0.006]);
    expect(axisTicks(0.375, false)).toEqual([0, 0.1, 0.2, 0.3, 0.4]);
    expect(axisTicks(0, true)).toEqual([0, 1]);
  });

  it("reaches the maximum in at most four steps", () => {
    for (const max of [2, 7, 9.5, 11, 26, 99, 101, 12345, 0.07]) {
      const ticks = axisTicks(max, false);
      expect(ticks.at(-1)).toBeGreaterThanOrEqual(max);
      expect(ticks.length).toBeLessThanOrEqual(5);
    }
  });
});
