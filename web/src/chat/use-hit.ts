import { type RefObject, useLayoutEffect, useRef } from "react";
import { useLocation } from "react-router";
import type { Message } from "../api/types";

/** What a search hands on with its link: the message that has the words, and the words. */
export interface HitState {
  hit: { messageId: string; words: string };
}

/** Space above the line that is shown, so that what leads to it can be read. */
const ABOVE = 96;

/** Shows the message that a search found, once for each time its link is followed. */
export function useHit(
  scroller: RefObject<HTMLElement | null>,
  messages: readonly Message[],
  goTo: (top: number) => void,
  onRead: (messageId: string) => void,
): void {
  const { key, state } = useLocation();
  const hit = (state as HitState | null)?.hit;
  const shown = useRef("");
  const asked = useRef("");
  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element || !hit || messages.length === 0 || shown.current === key) return;
    const message = element.querySelector(`[data-message="${CSS.escape(hit.messageId)}"]`);
    if (!message) {
      // It stands in another branch: that one is read, and comes with other messages.
      if (asked.current !== key) onRead(hit.messageId);
      asked.current = key;
      return;
    }
    shown.current = key;
    const range = rangeOf(message, hit.words);
    mark(range);
    const top = (range ?? message).getBoundingClientRect().top - element.getBoundingClientRect().top;
    goTo(Math.max(0, element.scrollTop + top - ABOVE));
  }, [key, hit, messages, scroller, goTo, onRead]);
}

/** Where the words stand in what is shown; null where they are in no single piece of text. */
function rangeOf(message: Element, words: string): Range | null {
  const what = words.toLowerCase();
  const walk = document.createTreeWalker(message, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const text = walk.currentNode.nodeValue ?? "";
    const at = text.toLowerCase().indexOf(what);
    if (at < 0 || at + what.length > text.length || walk.currentNode.parentElement?.closest(".unseen"))
      continue;
    const range = document.createRange();
    range.setStart(walk.currentNode, at);
    range.setEnd(walk.currentNode, at + what.length);
    return range;
  }
  return null;
}

// Here and not in the style sheet: the build's compiler of styles does not know this pseudo-element.
let styled = false;

function style(): void {
  if (styled) return;
  styled = true;
  const sheet = new CSSStyleSheet();
  sheet.insertRule("::highlight(hit) { background-color: light-dark(#fde68a, #6b4f10) }");
  document.adoptedStyleSheets.push(sheet);
}

/** Browsers that cannot mark a range only scroll to it. */
function mark(range: Range | null): void {
  if (!("highlights" in CSS)) return;
  style();
  if (range) CSS.highlights.set("hit", new Highlight(range));
  else CSS.highlights.delete("hit");
}
