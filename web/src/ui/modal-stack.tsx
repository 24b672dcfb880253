/** The stack of open modal dialogs: everything outside the topmost one is inert. */
import { PortalContext } from "@ariakit/react";
import { type ReactNode, type RefObject, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { createPortal } from "react-dom";

let openModals: readonly HTMLElement[] = [];
const listeners = new Set<() => void>();

function setOpenModals(next: readonly HTMLElement[]): void {
  openModals = next;
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Opens a native modal dialog while `isOpen`; calls `onClose` when the user closes it with Escape. */
export function useModal(
  dialog: RefObject<HTMLDialogElement | null>,
  isOpen: boolean,
  onClose: () => void,
): void {
  const onCloseRef = useRef(onClose);
  onCloseRef.current = onClose;
  useEffect(() => {
    const element = dialog.current;
    if (!isOpen || !element) return;
    if (!element.open) element.showModal();
    setOpenModals([...openModals, element]);
    // The first Escape closes a menu that is open inside the dialog, the next one the dialog.
    let closesPopup = false;
    const onKeyDown = ({ key }: KeyboardEvent) => {
      closesPopup = key === "Escape" && element.querySelector("[data-dialog][data-open]") !== null;
    };
    const onCancel = (event: Event) => {
      event.preventDefault();
      if (!closesPopup) onCloseRef.current();
    };
    // The event is asynchronous: the dialog may have been opened again meanwhile.
    const onClosed = () => !element.open && onCloseRef.current();
    addEventListener("keydown", onKeyDown, true);
    element.addEventListener("cancel", onCancel);
    element.addEventListener("close", onClosed);
    return () => {
      removeEventListener("keydown", onKeyDown, true);
      element.removeEventListener("cancel", onCancel);
      element.removeEventListener("close", onClosed);
      element.close();
      setOpenModals(openModals.filter((modal) => modal !== element));
    };
  }, [dialog, isOpen]);
}

/** Makes menus and popovers of its children open inside the dialog, because the page below it is inert. */
export function ModalPortalScope({
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

/** Renders its children inside the topmost modal dialog, or at the end of the body if none is open. */
export function TopLayerPortal({ children }: { children: ReactNode }) {
  const top = useSyncExternalStore(subscribe, () => openModals.at(-1));
  return createPortal(children, top ?? document.body);
}
