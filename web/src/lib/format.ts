import i18next from "i18next";

const language = () => i18next.resolvedLanguage ?? "en";

export function formatNumber(value: number, digits = 0): string {
  return new Intl.NumberFormat(language(), { maximumFractionDigits: digits }).format(value);
}

export function formatCompact(value: number): string {
  return new Intl.NumberFormat(language(), { notation: "compact", maximumFractionDigits: 1 }).format(value);
}

/** `share` is 0..1. */
export function formatPercent(share: number): string {
  return new Intl.NumberFormat(language(), { style: "percent", maximumFractionDigits: 1 }).format(share);
}

/** US dollars from the wire's decimal string; small amounts keep what makes them differ from nothing. */
export function formatMoney(usd: string | number): string {
  const value = Number(usd);
  return money(value, value !== 0 && Math.abs(value) < 0.01 ? 6 : 2, 2);
}

/** The same for a column of amounts: all with as many digits as the smallest needs. */
export function moneyColumn(amounts: readonly (string | number)[]): (usd: string | number) => string {
  const smallest = Math.min(...amounts.map((usd) => Math.abs(Number(usd))).filter((value) => value > 0));
  const digits = smallest >= 0.01 ? 2 : smallest >= 0.0001 ? 4 : 6;
  const fixed = amounts.some((usd) => Number(usd) !== 0) ? digits : 2;
  return (usd) => money(Number(usd), fixed, fixed);
}

function money(value: number, most: number, least: number): string {
  return new Intl.NumberFormat(language(), {
    style: "currency",
    currency: "USD",
    currencyDisplay: "narrowSymbol",
    minimumFractionDigits: least,
    maximumFractionDigits: most,
  }).format(value);
}

/** A day without its year, for the axis of a chart; `day` is `YYYY-MM-DD`. */
export function formatDay(day: string): string {
  const date = new Date(`${day}T00:00:00Z`);
  if (Number.isNaN(date.getTime())) return day;
  return new Intl.DateTimeFormat(language(), { month: "short", day: "numeric", timeZone: "UTC" }).format(
    date,
  );
}

export function formatDate(iso: string): string {
  return new Intl.DateTimeFormat(language(), { dateStyle: "medium" }).format(new Date(iso));
}

export function formatTime(iso: string): string {
  return new Intl.DateTimeFormat(language(), { dateStyle: "medium", timeStyle: "short" }).format(
    new Date(iso),
  );
}

export function formatDuration(milliseconds: number): string {
  const seconds = milliseconds / 1000;
  if (milliseconds < 1000)
    return new Intl.NumberFormat(language(), {
      style: "unit",
      unit: "millisecond",
      maximumFractionDigits: milliseconds < 10 ? 1 : 0,
    }).format(milliseconds);
  return new Intl.NumberFormat(language(), {
    style: "unit",
    unit: "second",
    maximumFractionDigits: 1,
  }).format(seconds);
}

const BYTES = ["byte", "kilobyte", "megabyte", "gigabyte"] as const;

/** Thousands of thousands, as limits are written. */
export function formatBytes(bytes: number): string {
  const power = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), BYTES.length - 1);
  return new Intl.NumberFormat(language(), {
    style: "unit",
    unit: BYTES[power] as string,
    maximumFractionDigits: power > 1 ? 1 : 0,
  }).format(bytes / 1000 ** power);
}
