import { createContext, type ReactNode, Suspense, useContext, useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { Outlet, useLocation } from "react-router";
import { useNarrow } from "../lib/use-narrow";
import { IconButton } from "../ui/button";
import { InsideModal, useModal } from "../ui/layers";
import { AccountMenu } from "./account-menu";

const Drawer = createContext<() => void>(() => undefined);

/** The frame of every page behind the sign-in: a column for finding one's way, and the page. */
export function Shell({ side }: { side: ReactNode }) {
  const narrow = useNarrow();
  const [open, setOpen] = useState(false);
  const { t } = useTranslation();
  const { key } = useLocation();
  // biome-ignore lint/correctness/useExhaustiveDependencies: to have gone somewhere closes it.
  useEffect(() => setOpen(false), [key]);
  const column = (
    <div className="flex h-full flex-col">
      <div className="min-h-0 flex-1">{side}</div>
      <div className="border-t border-line p-2">
        <AccountMenu />
      </div>
    </div>
  );
  return (
    <Drawer value={() => setOpen(true)}>
      <a
        href="#main"
        className="unseen focus:not-sr-only focus:absolute focus:z-50 focus:bg-raised focus:p-3"
      >
        {t("common.skip")}
      </a>
      <div className="flex h-full">
        {narrow ? (
          <SideDrawer open={open} onClose={() => setOpen(false)}>
            {column}
          </SideDrawer>
        ) : (
          <aside className="w-72 shrink-0 border-r border-line bg-panel">{column}</aside>
        )}
        <main id="main" tabIndex={-1} className="relative min-w-0 flex-1 overflow-y-auto outline-none">
          <Suspense>
            <Outlet />
          </Suspense>
        </main>
      </div>
    </Drawer>
  );
}

function SideDrawer({
  open,
  onClose,
  children,
}: {
  open: boolean;
  onClose: () => void;
  children: ReactNode;
}) {
  const element = useRef<HTMLDialogElement>(null);
  const { t } = useTranslation();
  useModal(element, open, onClose);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Escape is the keyboard's way out; the click is on the backdrop.
    <dialog
      ref={element}
      aria-label={t("common.menu")}
      onClick={(event) => event.target === element.current && onClose()}
      className="m-0 h-dvh max-h-none w-80 max-w-[85vw] border-r border-line bg-panel text-ink"
    >
      {open && <InsideModal dialog={element}>{children}</InsideModal>}
    </dialog>
  );
}

/** A page's own bar; on a phone it opens the navigation and says which part of the console this is. */
export function TopBar({ part, children }: { part?: string; children?: ReactNode }) {
  const openDrawer = useContext(Drawer);
  const narrow = useNarrow();
  const { t } = useTranslation();
  if (!narrow && !children) return null;
  return (
    <div className="sticky top-0 z-10 flex min-h-13 items-center gap-1 border-b border-line bg-page px-2 sm:px-4">
      {narrow && <IconButton icon="menu" label={t("common.openNavigation")} onClick={openDrawer} />}
      {narrow && part && <p className="min-w-0 flex-1 truncate font-medium">{part}</p>}
      {children}
    </div>
  );
}
