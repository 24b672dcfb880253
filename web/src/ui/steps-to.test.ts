import { describe, expect, it } from "vitest";
import { stepsTo } from "./steps-to";

describe("steps of an axis", () => {
  it("are round", () => {
    expect(stepsTo(340, true)).toEqual([0, 100, 200, 300, 400]);
    expect(stepsTo(1, true)).toEqual([0, 1]);
    expect(stepsTo(3, true)).toEqual([0, 1, 2, 3]);
    expect(stepsTo(0.0042, false)).toEqual([0, 0.002, 0.004, 0.006]);
    expect(stepsTo(0.375, false)).toEqual([0, 0.1, 0.2, 0.3, 0.4]);
    expect(stepsTo(0, true)).toEqual([0, 1]);
  });

  it("reach what they are to show, in at most four", () => {
    for (const most of [2, 7, 9.5, 11, 26, 99, 101, 12345, 0.07]) {
      const steps = stepsTo(most, false);
      expect(steps.at(-1)).toBeGreaterThanOrEqual(most);
      expect(steps.length).toBeLessThanOrEqual(5);
    }
  });
});
