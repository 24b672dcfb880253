import { describe, expect, it } from "vitest";
import { formatBytes, formatDay, formatMoney, moneyColumn } from "./format";

describe("money", () => {
  it("has the same digits in a column", () => {
    const shown = moneyColumn(["0.14", "0.002878", "0"]);
    expect(["0.14", "0.002878", "0"].map(shown)).toEqual(["$0.1400", "$0.0029", "$0.0000"]);
    expect(moneyColumn(["3", "0.50"])("3")).toBe("$3.00");
    expect(moneyColumn(["0.000019", "12"])("12")).toBe("$12.000000");
    expect(moneyColumn([])("0")).toBe("$0.00");
    expect(moneyColumn(["0"])("0")).toBe("$0.00");
  });

  it("alone keeps what makes it differ from nothing", () => {
    expect(formatMoney("0.000019")).toBe("$0.000019");
    expect(formatMoney("2.5")).toBe("$2.50");
  });
});

describe("bytes", () => {
  it("are in the unit that fits", () => {
    const shown = [0, 999, 1000, 64_499, 1_500_000, 1_000_000_000, 10_000_000_000].map(formatBytes);
    expect(shown).toEqual(["0 byte", "999 byte", "1 kB", "64 kB", "1.5 MB", "1 GB", "10 GB"]);
  });
});

describe("a day", () => {
  it("is short, and stays what it is where it is none", () => {
    expect(formatDay("2026-03-09")).toBe("Mar 9");
    expect(formatDay("9 a.m.")).toBe("9 a.m.");
  });
});
