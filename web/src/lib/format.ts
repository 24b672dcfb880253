/** Numbers, money, dates and durations in the user's language. */
import i18next from "i18next";

const currentLanguage = () => i18next.resolvedLanguage ?? "en";

export function formatNumber(value: number, digits = 0): string {
  return new Intl.NumberFormat(currentLanguage(), { maximumFractionDigits: digits }).format(value);
}

export function formatCompact(value: number): string {
  return new Intl.NumberFormat(currentLanguage(), { notation: "compact", maximumFractionDigits: 1 }).format(
    value,
  );
}

/** `fraction` is between 0 and 1. */
export function formatPercent(fraction: number): string {
  return new Intl.NumberFormat(currentLanguage(), { style: "percent", maximumFractionDigits: 1 }).format(
    fraction,
  );
}

/** US dollars from the API's decimal string; amounts below one cent get up to six digits. */
export function formatMoney(usd: string | number): string {
  const value = Number(usd);
  return formatUsd(value, value !== 0 && Math.abs(value) < 0.01 ? 6 : 2, 2);
}

/** Formats a column of amounts with the number of digits that the smallest one needs. */
export function moneyFormatter(amounts: readonly (string | number)[]): (usd: string | number) => string {
  const smallest = Math.min(...amounts.map((usd) => Math.abs(Number(usd))).filter((value) => value > 0));
  const neededDigits = smallest >= 0.01 ? 2 : smallest >= 0.0001 ? 4 : 6;
  const fractionDigits = amounts.some((usd) => Number(usd) !== 0) ? neededDigits : 2;
  return (usd) => formatUsd(Number(usd), fractionDigits, fractionDigits);
}

function formatUsd(value: number, maxDigits: number, minDigits: number): string {
  return new Intl.NumberFormat(currentLanguage(), {
    style: "currency",
    currency: "USD",
    currencyDisplay: "narrowSymbol",
    minimumFractionDigits: minDigits,
    maximumFractionDigits: maxDigits,
  }).format(value);
}

/** Month and day for a chart's axis; `day` is `YYYY-MM-DD`, anything else is returned unchanged. */
export function formatDay(day: string): string {
  const date = new Date(`${day}T00:00:00Z`);
  if (Number.isNaN(date.getTime())) return day;
  return new Intl.DateTimeFormat(currentLanguage(), {
    month: "short",
    day: "numeric",
    timeZone: "UTC",
  }).format(date);
}

export function formatDate(iso: string): string {
  return new Intl.DateTimeFormat(currentLanguage(), { dateStyle: "medium" }).format(new Date(iso));
}

export function formatDateTime(iso: string): string {
  return new Intl.DateTimeFormat(currentLanguage(), { dateStyle: "medium", timeStyle: "short" }).format(
    new Date(iso),
  );
}

export function formatDuration(milliseconds: number): string {
  const seconds = milliseconds / 1000;
  if (milliseconds < 1000)
    return new Intl.NumberFormat(currentLanguage(), {
      style: "unit",
      unit: "millisecond",
      maximumFractionDigits: milliseconds < 10 ? 1 : 0,
    }).format(milliseconds);
  return new Intl.NumberFormat(currentLanguage(), {
    style: "unit",
    unit: "second",
    maximumFractionDigits: 1,
  }).format(seconds);
}

const BYTE_UNITS = ["byte", "kilobyte", "megabyte", "gigabyte"] as const;

/** Decimal units (1 kB = 1000 bytes), as limits are configured. */
export function formatBytes(bytes: number): string {
  const power = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), BYTE_UNITS.length - 1);
  return new Intl.NumberFormat(currentLanguage(), {
    style: "unit",
    unit: BYTE_UNITS[power] as string,
    maximumFractionDigits: power > 1 ? 1 : 0,
  }).format(bytes / 1000 ** power);
}
