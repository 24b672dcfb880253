import { useTranslation } from "react-i18next";
import { Button } from "../ui/button";
import { SelectField, TextField } from "../ui/field";
import { type DateRange, lastDays, PRESET_DAYS, timeZones } from "./date-range";

/** Selects a date range and its time zone. */
export function DateRangePicker({
  range,
  onChange,
}: {
  range: DateRange;
  onChange: (days: DateRange) => void;
}) {
  const { t } = useTranslation();
  return (
    <fieldset className="panel grid grid-cols-2 items-end gap-3 p-4 sm:flex sm:flex-wrap">
      <legend className="sr-only">{t("admin.range.title")}</legend>
      <div className="col-span-2 flex flex-wrap gap-1 sm:order-last">
        {PRESET_DAYS.map((days) => {
          const preset = lastDays(days, range.tz);
          const selected = preset.from === range.from && preset.to === range.to;
          return (
            <Button
              key={days}
              variant={selected ? "secondary" : "ghost"}
              aria-pressed={selected}
              onClick={() => onChange(preset)}
            >
              {days === 1 ? t("admin.range.today") : t("admin.range.lastDays", { count: days })}
            </Button>
          );
        })}
      </div>
      <TextField
        label={t("admin.range.from")}
        type="date"
        required
        max={range.to}
        value={range.from}
        onChange={(event) => event.target.value && onChange({ ...range, from: event.target.value })}
      />
      <TextField
        label={t("admin.range.to")}
        type="date"
        required
        min={range.from}
        value={range.to}
        onChange={(event) => event.target.value && onChange({ ...range, to: event.target.value })}
      />
      <SelectField
        className="max-sm:max-w-full sm:max-w-56"
        label={t("admin.range.timeZone")}
        value={range.tz}
        onChange={(event) => onChange({ ...range, tz: event.target.value })}
      >
        {[...new Set([range.tz, ...timeZones()])].map((zone) => (
          <option key={zone} value={zone}>
            {zone}
          </option>
        ))}
      </SelectField>
    </fieldset>
  );
}
