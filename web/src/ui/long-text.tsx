import { useState } from "react";
import { useTranslation } from "react-i18next";
import { formatNumber } from "../lib/format";
import { Button } from "./button";

/** What is drawn at once: more takes a browser seconds, and nobody reads it. */
const SHOWN = 20_000;

/** Plain text as it is; the end of a very long one is shown when it is asked for. */
export function LongText({ text }: { text: string }) {
  const { t } = useTranslation();
  const [whole, setWhole] = useState(false);
  if (whole || text.length <= SHOWN) return text;
  return (
    <>
      {text.slice(0, SHOWN)}…{" "}
      <Button small onClick={() => setWhole(true)}>
        {t("common.rest", { count: text.length - SHOWN, size: formatNumber(text.length - SHOWN) })}
      </Button>
    </>
  );
}
