import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { toast } from "../ui/toast";

/** Shows a message when files are dropped or pasted, and keeps the browser from opening a dropped file. */
export function useRejectFiles(): void {
  const { t } = useTranslation();
  useEffect(() => {
    const reject = () => toast(t("common.noFiles"), true);
    const onDragOver = (event: DragEvent) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
    };
    const onDrop = (event: DragEvent) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      reject();
    };
    const onPaste = ({ clipboardData }: ClipboardEvent) => {
      // Some programs copy text together with an image of it; the text is pasted as usual.
      if (clipboardData?.files.length && !clipboardData.types.includes("text/plain")) reject();
    };
    addEventListener("dragover", onDragOver);
    addEventListener("drop", onDrop);
    addEventListener("paste", onPaste);
    return () => {
      removeEventListener("dragover", onDragOver);
      removeEventListener("drop", onDrop);
      removeEventListener("paste", onPaste);
    };
  }, [t]);
}
