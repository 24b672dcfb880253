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
  const digits = value !== 0 && Math.abs(value) < 0.01 ? 6 : 2;
  return new Intl.NumberFormat(language(), {
    style: "currency",
    currency: "USD",
    currencyDisplay: "narrowSymbol",
    minimumFractionDigits: 2,
    maximumFractionDigits: digits,
  }).format(value);
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

export function formatBytes(bytes: number): string {
  return new Intl.NumberFormat(language(), {
    style: "unit",
    unit: "kilobyte",
    maximumFractionDigits: 0,
  }).format(bytes / 1000);
}
