import { useState } from "react";
import { useTranslation } from "react-i18next";
import { formatNumber } from "../lib/format";
import { Button } from "./button";

/** Rendering more characters at once takes browsers seconds. */
const MAX_CHARACTERS = 20_000;

/** Plain text; a very long one is truncated, with a button that shows the rest. */
export function TruncatedText({ text }: { text: string }) {
  const { t } = useTranslation();
  const [expanded, setExpanded] = useState(false);
  if (expanded || text.length <= MAX_CHARACTERS) return text;
  return (
    <>
      {text.slice(0, MAX_CHARACTERS)}…{" "}
      <Button small onClick={() => setExpanded(true)}>
        {t("common.showRest", {
          count: text.length - MAX_CHARACTERS,
          size: formatNumber(text.length - MAX_CHARACTERS),
        })}
      </Button>
    </>
  );
}
