import { type RefObject, useLayoutEffect, useRef } from "react";
import { useLocation } from "react-router";
import type { Message } from "../../api/types";

/** Navigation state of a search result: the message that matches, and the matching text. */
export interface SearchHitState {
  hit: { messageId: string; text: string };
}

/** Distance between the top of the viewport and the hit, so that the text before it is visible. */
const SCROLL_MARGIN_PX = 96;

/** Scrolls to the message that a search has found and highlights the match, once per navigation. */
export function useSearchHit(
  scroller: RefObject<HTMLElement | null>,
  messages: readonly Message[],
  scrollTo: (top: number) => void,
  onSwitchBranch: (messageId: string) => void,
): void {
  const { key, state } = useLocation();
  const hit = (state as SearchHitState | null)?.hit;
  const handledKey = useRef("");
  const switchedKey = useRef("");
  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element || !hit || messages.length === 0 || handledKey.current === key) return;
    const message = element.querySelector(`[data-message="${CSS.escape(hit.messageId)}"]`);
    if (!message) {
      // The message is in another branch: switch to it; the effect runs again with its messages.
      if (switchedKey.current !== key) onSwitchBranch(hit.messageId);
      switchedKey.current = key;
      return;
    }
    handledKey.current = key;
    const range = findRange(message, hit.text);
    highlight(range);
    const top = (range ?? message).getBoundingClientRect().top - element.getBoundingClientRect().top;
    scrollTo(Math.max(0, element.scrollTop + top - SCROLL_MARGIN_PX));
  }, [key, hit, messages, scroller, scrollTo, onSwitchBranch]);
}

/** The range of a text in a message; null if no single text node contains it. */
function findRange(message: Element, text: string): Range | null {
  const needle = text.toLowerCase();
  const walker = document.createTreeWalker(message, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const content = walker.currentNode.nodeValue ?? "";
    const index = content.toLowerCase().indexOf(needle);
    const isHidden = walker.currentNode.parentElement?.closest(".sr-only");
    if (index < 0 || index + needle.length > content.length || isHidden) continue;
    const range = document.createRange();
    range.setStart(walker.currentNode, index);
    range.setEnd(walker.currentNode, index + needle.length);
    return range;
  }
  return null;
}

let styleAdded = false;

/** Adds the style by script, because the build's CSS compiler does not support `::highlight()`. */
function addHighlightStyle(): void {
  if (styleAdded) return;
  styleAdded = true;
  const sheet = new CSSStyleSheet();
  sheet.insertRule("::highlight(hit) { background-color: light-dark(#fde68a, #6b4f10) }");
  document.adoptedStyleSheets.push(sheet);
}

/** Highlights a range; does nothing in browsers without the CSS Custom Highlight API. */
function highlight(range: Range | null): void {
  if (!("highlights" in CSS)) return;
  addHighlightStyle();
  if (range) CSS.highlights.set("hit", new Highlight(range));
  else CSS.highlights.delete("hit");
}
