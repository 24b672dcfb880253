import { type ReactNode, useId, useRef } from "react";
import { useTranslation } from "react-i18next";
import { Button, IconButton } from "./button";
import { cx } from "./cx";
import { ModalPortalScope, useModal } from "./modal-stack";

interface DialogProps {
  open: boolean;
  title: string;
  onClose: () => void;
  wide?: boolean;
  children: ReactNode;
}

/** A native modal dialog: the browser traps and restores the focus, and Escape closes it. */
export function Dialog({ open, title, onClose, wide, children }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  const { t } = useTranslation();
  useModal(element, open, onClose);
  if (!open) return null;
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Escape closes it by keyboard; the click is on the backdrop.
    <dialog
      ref={element}
      aria-labelledby={titleId}
      onClick={(event) => event.target === element.current && onClose()}
      className={cx(
        "m-auto w-full rounded-lg border border-line bg-raised text-ink shadow-float",
        "max-h-[calc(100dvh-2rem)] max-w-[calc(100vw-2rem)]",
        wide ? "sm:max-w-3xl" : "sm:max-w-md",
      )}
    >
      <div className="flex flex-col gap-4 p-5">
        <header className="flex items-start justify-between gap-4">
          <h2 id={titleId} className="text-lg font-semibold">
            {title}
          </h2>
          <IconButton icon="close" label={t("common.close")} onClick={onClose} className="-mt-1 -mr-1" />
        </header>
        <ModalPortalScope dialog={element}>{children}</ModalPortalScope>
      </div>
    </dialog>
  );
}

interface ConfirmProps {
  open: boolean;
  title: string;
  text: string;
  action: string;
  busy?: boolean;
  onConfirm: () => void;
  onClose: () => void;
}

/** Asks for confirmation of an irreversible action. */
export function ConfirmDialog({ open, title, text, action, busy, onConfirm, onClose }: ConfirmProps) {
  const { t } = useTranslation();
  return (
    <Dialog open={open} title={title} onClose={onClose}>
      <p className="text-sm">{text}</p>
      <div className="flex justify-end gap-2">
        <Button onClick={onClose}>{t("common.cancel")}</Button>
        <Button variant="danger" busy={busy ?? false} onClick={onConfirm}>
          {action}
        </Button>
      </div>
    </Dialog>
  );
}
