import { describe, expect, it } from "vitest";
import { formatBytes, formatDay, formatMoney, moneyFormatter } from "./format";

describe("moneyFormatter", () => {
  it("uses the same number of digits for all amounts of a column", () => {
    const format = moneyFormatter(["0.14", "0.002878", "0"]);
    expect(["0.14", "0.002878", "0"].map(format)).toEqual(["$0.1400", "$0.0029", "$0.0000"]);
    expect(moneyFormatter(["3", "0.50"])("3")).toBe("$3.00");
    expect(moneyFormatter(["0.000019", "12"])("12")).toBe("$12.000000");
    expect(moneyFormatter([])("0")).toBe("$0.00");
    expect(moneyFormatter(["0"])("0")).toBe("$0.00");
  });
});

describe("formatMoney", () => {
  it("shows enough digits for small amounts", () => {
    expect(formatMoney("0.000019")).toBe("$0.000019");
    expect(formatMoney("2.5")).toBe("$2.50");
  });
});

describe("formatBytes", () => {
  it("picks the largest unit that fits", () => {
    const formatted = [0, 999, 1000, 64_499, 1_500_000, 1_000_000_000, 10_000_000_000].map(formatBytes);
    expect(formatted).toEqual(["0 byte", "999 byte", "1 kB", "64 kB", "1.5 MB", "1 GB", "10 GB"]);
  });
});

describe("formatDay", () => {
  it("omits the year and returns an invalid date unchanged", () => {
    expect(formatDay("2026-03-09")).toBe("Mar 9");
    expect(formatDay("9 a.m.")).toBe("9 a.m.");
  });
});
