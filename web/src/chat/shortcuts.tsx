import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { Dialog } from "../ui/dialog";

/** A shortcut clicks or focuses the last visible element with this `data-shortcut` attribute. */
export type Shortcut = "search" | "new" | "message" | "stop" | "edit";

const SHORTCUTS = [
  ["search", "Ctrl + K"],
  ["new", "Ctrl + Shift + O"],
  ["message", "/"],
  ["stop", "Esc"],
  ["edit", "↑"],
  ["help", "?"],
] as const;

/** Keyboard shortcuts of the chat; `?` shows the list. */
export function Shortcuts() {
  const { t } = useTranslation();
  const [help, setHelp] = useState(false);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.isComposing || isPopupOpen()) return;
      const shortcut = matchShortcut(event);
      if (shortcut === null) return;
      if (shortcut === "help") setHelp(true);
      else if (!activate(shortcut)) return;
      event.preventDefault();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
  return (
    <Dialog open={help} title={t("chat.shortcuts.title")} onClose={() => setHelp(false)}>
      <dl className="grid grid-cols-[1fr_auto] gap-x-6 gap-y-2 text-sm">
        {SHORTCUTS.map(([name, keys]) => (
          <div key={name} className="contents">
            <dt>{t(`chat.shortcuts.${name}`)}</dt>
            <dd className="font-mono text-xs">{keys}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}

function matchShortcut(event: KeyboardEvent): Shortcut | "help" | null {
  const { key, target } = event;
  const typing = target instanceof HTMLElement && target.matches("input, textarea, select");
  if (event.ctrlKey || event.metaKey) {
    if (event.altKey) return null;
    if (key.toLowerCase() === "k" && !event.shiftKey) return "search";
    return key.toLowerCase() === "o" && event.shiftKey ? "new" : null;
  }
  if (event.altKey) return null;
  if (key === "Escape") return "stop";
  if (key === "ArrowUp" && target instanceof HTMLTextAreaElement && target.value === "")
    return target.dataset.shortcut === "message" ? "edit" : null;
  if (typing) return null;
  if (key === "/") return "message";
  return key === "?" ? "help" : null;
}

/** Clicks or focuses the shortcut's element; returns false if there is none. */
function activate(shortcut: Shortcut): boolean {
  const all = document.querySelectorAll<HTMLElement>(`[data-shortcut="${shortcut}"]`);
  const last = [...all]
    .filter((element) => element.checkVisibility() && !element.matches(":disabled"))
    .at(-1);
  if (!last) return false;
  if (last.matches("input, textarea")) {
    last.focus();
    if (last instanceof HTMLInputElement) last.select();
  } else last.click();
  return true;
}

/** Open dialogs and menus handle the keyboard themselves. */
function isPopupOpen(): boolean {
  return document.querySelector("dialog[open], [data-dialog][data-open]") !== null;
}
