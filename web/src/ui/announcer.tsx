import { useSyncExternalStore } from "react";
import { OnTop } from "./layers";

let said = "";
const listeners = new Set<() => void>();

/** Tells screen readers of something that can be seen; saying the same twice is heard twice. */
export function announce(text: string): void {
  said = text === said ? `${text}\u00a0` : text;
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function Announcer() {
  const text = useSyncExternalStore(subscribe, () => said);
  return (
    <OnTop>
      <p role="status" aria-live="polite" className="unseen">
        {text}
      </p>
    </OnTop>
  );
}
