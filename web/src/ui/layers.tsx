/** The modal dialogs that are open: only what is inside the topmost one can be seen and used. */
import { PortalContext } from "@ariakit/react";
import { type ReactNode, type RefObject, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { createPortal } from "react-dom";

let open: readonly HTMLElement[] = [];
const listeners = new Set<() => void>();

function change(next: readonly HTMLElement[]): void {
  open = next;
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Opens the browser's modal dialog while `shown`; `onClose` is called when Escape is to close it. */
export function useModal(
  dialog: RefObject<HTMLDialogElement | null>,
  shown: boolean,
  onClose: () => void,
): void {
  const act = useRef(onClose);
  act.current = onClose;
  useEffect(() => {
    const element = dialog.current;
    if (!shown || !element) return;
    if (!element.open) element.showModal();
    change([...open, element]);
    // Escape closes a menu that is open inside, and the dialog only the next time.
    let inside = false;
    const look = ({ key }: KeyboardEvent) => {
      inside = key === "Escape" && element.querySelector("[data-dialog][data-open]") !== null;
    };
    const cancel = (event: Event) => {
      event.preventDefault();
      if (!inside) act.current();
    };
    // The event comes late: by then it may have been opened again.
    const close = () => !element.open && act.current();
    addEventListener("keydown", look, true);
    element.addEventListener("cancel", cancel);
    element.addEventListener("close", close);
    return () => {
      removeEventListener("keydown", look, true);
      element.removeEventListener("cancel", cancel);
      element.removeEventListener("close", close);
      element.close();
      change(open.filter((one) => one !== element));
    };
  }, [dialog, shown]);
}

/** Menus, lists and popovers of what is inside open within the dialog: the page below it is inert. */
export function InsideModal({
  dialog,
  children,
}: {
  dialog: RefObject<HTMLDialogElement | null>;
  children: ReactNode;
}) {
  const [element, setElement] = useState<HTMLElement | null>(null);
  useEffect(() => setElement(dialog.current), [dialog]);
  return <PortalContext value={element}>{children}</PortalContext>;
}

/** Puts its content into the topmost modal dialog, or at the end of the page where none is open. */
export function OnTop({ children }: { children: ReactNode }) {
  const top = useSyncExternalStore(subscribe, () => open.at(-1));
  return createPortal(children, top ?? document.body);
}
