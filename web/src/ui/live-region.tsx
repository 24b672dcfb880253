import { useSyncExternalStore } from "react";
import { TopLayerPortal } from "./modal-stack";

let announcement = "";
const listeners = new Set<() => void>();

/** Announces a text to screen readers; the same text twice is announced twice. */
export function announce(text: string): void {
  announcement = text === announcement ? `${text}\u00a0` : text;
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function LiveRegion() {
  const text = useSyncExternalStore(subscribe, () => announcement);
  return (
    <TopLayerPortal>
      <p role="status" aria-live="polite" className="sr-only">
        {text}
      </p>
    </TopLayerPortal>
  );
}
