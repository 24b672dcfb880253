import { useTranslation } from "react-i18next";
import { Button } from "../ui/button";
import { SelectField, TextField } from "../ui/field";
import { type Days, LENGTHS, lastDays, zones } from "./range";

/** From which day to which, and whose days they are. */
export function RangePicker({ days, onChange }: { days: Days; onChange: (days: Days) => void }) {
  const { t } = useTranslation();
  return (
    <fieldset className="panel grid grid-cols-2 items-end gap-3 p-4 sm:flex sm:flex-wrap">
      <legend className="unseen">{t("admin.range.title")}</legend>
      <div className="col-span-2 flex flex-wrap gap-1 sm:order-last">
        {LENGTHS.map((length) => {
          const choice = lastDays(length, days.tz);
          const chosen = choice.from === days.from && choice.to === days.to;
          return (
            <Button
              key={length}
              kind={chosen ? "plain" : "quiet"}
              aria-pressed={chosen}
              onClick={() => onChange(choice)}
            >
              {length === 1 ? t("admin.range.today") : t("admin.range.lastDays", { count: length })}
            </Button>
          );
        })}
      </div>
      <TextField
        label={t("admin.range.from")}
        type="date"
        required
        max={days.to}
        value={days.from}
        onChange={(event) => event.target.value && onChange({ ...days, from: event.target.value })}
      />
      <TextField
        label={t("admin.range.to")}
        type="date"
        required
        min={days.from}
        value={days.to}
        onChange={(event) => event.target.value && onChange({ ...days, to: event.target.value })}
      />
      <SelectField
        className="max-sm:max-w-full sm:max-w-56"
        label={t("admin.range.zone")}
        value={days.tz}
        onChange={(event) => onChange({ ...days, tz: event.target.value })}
      >
        {[...new Set([days.tz, ...zones()])].map((zone) => (
          <option key={zone} value={zone}>
            {zone}
          </option>
        ))}
      </SelectField>
    </fieldset>
  );
}
