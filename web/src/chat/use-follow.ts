import { type RefObject, useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";

const NEAR = 24;

/**
 * Keeps a scrolled element at its end while what is in it grows. Any move upwards lets go; to come back to the end, or to
 * `jump`, holds on again.
 */
export function useFollow(scroller: RefObject<HTMLElement | null>, content: unknown) {
  const held = useRef(true);
  const last = useRef({ top: 0, height: 0 });
  const [away, setAway] = useState(false);

  useEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const letGo = () => {
      held.current = false;
      setAway(!atEnd(element));
    };
    const onWheel = (event: WheelEvent) =>
      event.deltaY < 0 && element.scrollHeight > element.clientHeight && letGo();
    const onScroll = () => {
      const before = last.current;
      last.current = { top: element.scrollTop, height: element.scrollHeight };
      // A text that got shorter moves what is shown upwards, too, and nobody has moved it.
      if (element.scrollTop < before.top && element.scrollHeight >= before.height) letGo();
      else if (element.scrollTop > before.top && atEnd(element)) {
        held.current = true;
        setAway(false);
      }
    };
    element.addEventListener("wheel", onWheel, { passive: true });
    element.addEventListener("scroll", onScroll, { passive: true });
    // What is loaded late (pictures, colours of code) grows without React.
    const grown = new ResizeObserver(() => held.current && toEnd(element));
    for (const child of element.children) grown.observe(child);
    return () => {
      element.removeEventListener("wheel", onWheel);
      element.removeEventListener("scroll", onScroll);
      grown.disconnect();
    };
  }, [scroller]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: whenever the content is another.
  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return;
    if (held.current) toEnd(element);
    else setAway(!atEnd(element));
  }, [content, scroller]);

  const jump = useCallback(() => {
    held.current = true;
    setAway(false);
    if (scroller.current) toEnd(scroller.current);
  }, [scroller]);

  /** Shows a place above the end, and stays there. */
  const goTo = useCallback(
    (top: number) => {
      held.current = false;
      setAway(true);
      if (scroller.current) scroller.current.scrollTop = top;
    },
    [scroller],
  );

  return { away, jump, goTo };
}

function atEnd(element: HTMLElement): boolean {
  return element.scrollHeight - element.clientHeight - element.scrollTop < NEAR;
}

function toEnd(element: HTMLElement): void {
  element.scrollTop = element.scrollHeight;
}
