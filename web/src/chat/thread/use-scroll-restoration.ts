import { type RefObject, useLayoutEffect } from "react";
import { isAtEnd } from "./use-auto-scroll";

/** Scroll positions by conversation; conversations that were left at their end are not included. */
const scrollPositions = new Map<string, number>();

/** Restores the scroll position of a conversation that was shown before; others start at their end. */
export function useScrollRestoration(
  scroller: RefObject<HTMLElement | null>,
  conversationKey: string,
  scrollToEnd: () => void,
  scrollTo: (top: number) => void,
): void {
  // A layout effect: the scroll events of the next conversation must not be saved for this one.
  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const savedPosition = scrollPositions.get(conversationKey);
    if (savedPosition === undefined) scrollToEnd();
    else scrollTo(savedPosition);
    const savePosition = () => {
      if (isAtEnd(element)) scrollPositions.delete(conversationKey);
      else scrollPositions.set(conversationKey, element.scrollTop);
    };
    element.addEventListener("scroll", savePosition, { passive: true });
    return () => element.removeEventListener("scroll", savePosition);
  }, [scroller, conversationKey, scrollToEnd, scrollTo]);
}
