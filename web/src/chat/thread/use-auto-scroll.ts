import { type RefObject, useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";

const END_THRESHOLD_PX = 24;

/**
 * Keeps a scrollable element at its end while its content grows.
 *
 * Scrolling up unpins it; scrolling back to the end, or calling `scrollToEnd`, pins it again.
 */
export function useAutoScroll(scroller: RefObject<HTMLElement | null>, content: unknown) {
  const pinned = useRef(true);
  const [scrolledUp, setScrolledUp] = useState(false);
  usePinning(scroller, pinned, setScrolledUp);

  // biome-ignore lint/correctness/useExhaustiveDependencies: runs whenever the content changes.
  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return;
    if (pinned.current) moveToEnd(element);
    else setScrolledUp(!isAtEnd(element));
  }, [content, scroller]);

  const scrollToEnd = useCallback(() => {
    pinned.current = true;
    setScrolledUp(false);
    if (scroller.current) moveToEnd(scroller.current);
  }, [scroller]);

  /** Scrolls to a position above the end and unpins. */
  const scrollTo = useCallback(
    (top: number) => {
      pinned.current = false;
      setScrolledUp(true);
      if (scroller.current) scroller.current.scrollTop = top;
    },
    [scroller],
  );

  return { scrolledUp, scrollToEnd, scrollTo };
}

/** Pins and unpins by the user's scrolling. */
function usePinning(
  scroller: RefObject<HTMLElement | null>,
  pinned: RefObject<boolean>,
  setScrolledUp: (scrolledUp: boolean) => void,
): void {
  const last = useRef({ top: 0, height: 0 });
  useEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const unpin = () => {
      pinned.current = false;
      setScrolledUp(!isAtEnd(element));
    };
    const onWheel = (event: WheelEvent) =>
      event.deltaY < 0 && element.scrollHeight > element.clientHeight && unpin();
    const onScroll = () => {
      const previous = last.current;
      last.current = { top: element.scrollTop, height: element.scrollHeight };
      // Content that shrinks moves the scroll position up too, without any action of the user.
      if (element.scrollTop < previous.top && element.scrollHeight >= previous.height) unpin();
      else if (element.scrollTop > previous.top && isAtEnd(element)) {
        pinned.current = true;
        setScrolledUp(false);
      }
    };
    element.addEventListener("wheel", onWheel, { passive: true });
    element.addEventListener("scroll", onScroll, { passive: true });
    // Images and highlighted code grow after React has rendered.
    const resizeObserver = new ResizeObserver(() => pinned.current && moveToEnd(element));
    for (const child of element.children) resizeObserver.observe(child);
    return () => {
      element.removeEventListener("wheel", onWheel);
      element.removeEventListener("scroll", onScroll);
      resizeObserver.disconnect();
    };
  }, [scroller, pinned, setScrolledUp]);
}

export function isAtEnd(element: HTMLElement): boolean {
  return element.scrollHeight - element.clientHeight - element.scrollTop < END_THRESHOLD_PX;
}

function moveToEnd(element: HTMLElement): void {
  element.scrollTop = element.scrollHeight;
}
