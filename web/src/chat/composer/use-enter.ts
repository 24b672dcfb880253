import { type RefObject, useEffect, useRef } from "react";

/**
 * Sends on Enter, decided where the browser is about to break the line: while a syllable is being composed, Enter ends the
 * syllable and comes here only if it is to do more. With Shift, and on a phone's keyboard, it breaks the line.
 */
export function useEnter(field: RefObject<HTMLTextAreaElement | null>, onEnter: () => void): void {
  const act = useRef(onEnter);
  act.current = onEnter;
  useEffect(() => {
    const element = field.current;
    if (!element) return;
    let shift = false;
    const noteShift = (event: KeyboardEvent) => {
      shift = event.shiftKey;
    };
    const decide = (event: InputEvent) => {
      if (event.inputType !== "insertLineBreak" || event.isComposing || shift) return;
      if (matchMedia("(pointer: coarse)").matches) return;
      event.preventDefault();
      act.current();
    };
    element.addEventListener("keydown", noteShift);
    element.addEventListener("beforeinput", decide);
    return () => {
      element.removeEventListener("keydown", noteShift);
      element.removeEventListener("beforeinput", decide);
    };
  }, [field]);
}
