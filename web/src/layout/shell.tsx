import { createContext, type ReactNode, Suspense, useContext, useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { Outlet, useLocation } from "react-router";
import { useIsMobile } from "../lib/use-is-mobile";
import { IconButton } from "../ui/button";
import { ModalPortalScope, useModal } from "../ui/modal-stack";
import { AccountMenu } from "./account-menu";

const OpenDrawerContext = createContext<() => void>(() => undefined);

/** Layout of all pages for signed-in users: a sidebar, which is a drawer on a phone, and the page. */
export function Shell({ sidebar }: { sidebar: ReactNode }) {
  const isMobile = useIsMobile();
  const [open, setOpen] = useState(false);
  const { t } = useTranslation();
  const { key } = useLocation();
  // biome-ignore lint/correctness/useExhaustiveDependencies: navigation closes the drawer.
  useEffect(() => setOpen(false), [key]);
  const sidebarContent = (
    <div className="flex h-full flex-col">
      <div className="min-h-0 flex-1">{sidebar}</div>
      <div className="border-t border-line p-2">
        <AccountMenu />
      </div>
    </div>
  );
  return (
    <OpenDrawerContext value={() => setOpen(true)}>
      <a
        href="#main"
        className="sr-only focus:not-sr-only focus:absolute focus:z-50 focus:bg-raised focus:p-3"
      >
        {t("common.skipToContent")}
      </a>
      <div className="flex h-full">
        {isMobile ? (
          <SidebarDrawer open={open} onClose={() => setOpen(false)}>
            {sidebarContent}
          </SidebarDrawer>
        ) : (
          <aside className="w-72 shrink-0 border-r border-line bg-panel">{sidebarContent}</aside>
        )}
        <main id="main" tabIndex={-1} className="relative min-w-0 flex-1 overflow-y-auto outline-none">
          <Suspense>
            <Outlet />
          </Suspense>
        </main>
      </div>
    </OpenDrawerContext>
  );
}

function SidebarDrawer({
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
    // biome-ignore lint/a11y/useKeyWithClickEvents: Escape closes it by keyboard; the click is on the backdrop.
    <dialog
      ref={element}
      aria-label={t("common.menu")}
      onClick={(event) => event.target === element.current && onClose()}
      className="m-0 h-dvh max-h-none w-80 max-w-[85vw] border-r border-line bg-panel text-ink"
    >
      {open && <ModalPortalScope dialog={element}>{children}</ModalPortalScope>}
    </dialog>
  );
}

/** A page's header bar; on a phone it has the button for the drawer and the name of the section. */
export function TopBar({ section, children }: { section?: string; children?: ReactNode }) {
  const openDrawer = useContext(OpenDrawerContext);
  const isMobile = useIsMobile();
  const { t } = useTranslation();
  if (!isMobile && !children) return null;
  return (
    <div className="sticky top-0 z-10 flex min-h-13 items-center gap-1 border-b border-line bg-page px-2 sm:px-4">
      {isMobile && <IconButton icon="menu" label={t("common.openNavigation")} onClick={openDrawer} />}
      {isMobile && section && <p className="min-w-0 flex-1 truncate font-medium">{section}</p>}
      {children}
    </div>
  );
}
