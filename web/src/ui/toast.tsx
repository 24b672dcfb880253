import { useEffect, useSyncExternalStore } from "react";
import { useTranslation } from "react-i18next";
import { sayError } from "../api/errors";
import { IconButton } from "./button";
import { cx } from "./cx";
import { OnTop } from "./layers";

interface Toast {
  id: number;
  text: string;
  bad: boolean;
}

const SHOWN_MS = 6000;
let toasts: readonly Toast[] = [];
let last = 0;
const listeners = new Set<() => void>();

/** Says something in passing; what needs an answer is a dialog. */
export function toast(text: string, bad = false): void {
  last += 1;
  change([...toasts.slice(-2), { id: last, text, bad }]);
}

export function toastError(error: unknown): void {
  toast(sayError(error), true);
}

function change(next: readonly Toast[]): void {
  toasts = next;
  for (const listener of listeners) listener();
}

function dismiss(id: number): void {
  change(toasts.filter((one) => one.id !== id));
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function Toasts() {
  const shown = useSyncExternalStore(subscribe, () => toasts);
  return (
    <OnTop>
      <section
        aria-live="polite"
        className="pointer-events-none fixed inset-x-0 top-3 z-50 flex flex-col items-center gap-2 px-3"
      >
        {shown.map((one) => (
          <ToastLine key={one.id} toast={one} />
        ))}
      </section>
    </OnTop>
  );
}

function ToastLine({ toast: { id, text, bad } }: { toast: Toast }) {
  const { t } = useTranslation();
  useEffect(() => {
    const timer = setTimeout(() => dismiss(id), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [id]);
  return (
    <div
      className={cx(
        "floating pointer-events-auto flex items-center gap-3 pl-4 text-sm",
        bad && "text-danger",
      )}
    >
      <span className="py-1">{text}</span>
      <IconButton icon="close" label={t("common.dismiss")} onClick={() => dismiss(id)} />
    </div>
  );
}
