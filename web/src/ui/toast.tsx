import { useEffect, useSyncExternalStore } from "react";
import { useTranslation } from "react-i18next";
import { errorMessage } from "../api/errors";
import { IconButton } from "./button";
import { cx } from "./cx";
import { TopLayerPortal } from "./modal-stack";

interface Toast {
  id: number;
  text: string;
  isError: boolean;
}

const TOAST_DURATION_MS = 6000;
let toasts: readonly Toast[] = [];
let lastId = 0;
const listeners = new Set<() => void>();

/** Shows a short message for a few seconds; use a dialog for anything that needs an answer. */
export function toast(text: string, isError = false): void {
  lastId += 1;
  setToasts([...toasts.slice(-2), { id: lastId, text, isError }]);
}

export function toastError(error: unknown): void {
  toast(errorMessage(error), true);
}

function setToasts(next: readonly Toast[]): void {
  toasts = next;
  for (const listener of listeners) listener();
}

function dismiss(id: number): void {
  setToasts(toasts.filter((item) => item.id !== id));
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function ToastContainer() {
  const visible = useSyncExternalStore(subscribe, () => toasts);
  return (
    <TopLayerPortal>
      <section
        aria-live="polite"
        className="pointer-events-none fixed inset-x-0 top-3 z-50 flex flex-col items-center gap-2 px-3"
      >
        {visible.map((item) => (
          <ToastItem key={item.id} toast={item} />
        ))}
      </section>
    </TopLayerPortal>
  );
}

function ToastItem({ toast: { id, text, isError } }: { toast: Toast }) {
  const { t } = useTranslation();
  useEffect(() => {
    const timer = setTimeout(() => dismiss(id), TOAST_DURATION_MS);
    return () => clearTimeout(timer);
  }, [id]);
  return (
    <div
      className={cx(
        "floating pointer-events-auto flex items-center gap-3 pl-4 text-sm",
        isError && "text-danger",
      )}
    >
      <span className="py-1">{text}</span>
      <IconButton icon="close" label={t("common.dismiss")} onClick={() => dismiss(id)} />
    </div>
  );
}
