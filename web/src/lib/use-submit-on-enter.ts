import { type RefObject, useEffect, useRef } from "react";

/**
 * Submits on Enter; Shift+Enter and Enter on a touch device insert a line break.
 *
 * Handled in `beforeinput`, because `keydown` is also sent for an Enter that only ends an input method's composition,
 * for example of a Korean syllable.
 */
export function useSubmitOnEnter(field: RefObject<HTMLTextAreaElement | null>, onSubmit: () => void): void {
  const onSubmitRef = useRef(onSubmit);
  onSubmitRef.current = onSubmit;
  useEffect(() => {
    const element = field.current;
    if (!element) return;
    let shift = false;
    const onKeyDown = (event: KeyboardEvent) => {
      shift = event.shiftKey;
    };
    const onBeforeInput = (event: InputEvent) => {
      if (event.inputType !== "insertLineBreak" || event.isComposing || shift) return;
      if (matchMedia("(pointer: coarse)").matches) return;
      event.preventDefault();
      onSubmitRef.current();
    };
    element.addEventListener("keydown", onKeyDown);
    element.addEventListener("beforeinput", onBeforeInput);
    return () => {
      element.removeEventListener("keydown", onKeyDown);
      element.removeEventListener("beforeinput", onBeforeInput);
    };
  }, [field]);
}
