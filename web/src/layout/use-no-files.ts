import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { toast } from "../ui/toast";

/** Says of files that are dropped or pasted that they cannot be attached; a browser would open a dropped one. */
export function useNoFiles(): void {
  const { t } = useTranslation();
  useEffect(() => {
    const say = () => toast(t("common.noFiles"), true);
    const over = (event: DragEvent) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
    };
    const drop = (event: DragEvent) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      say();
    };
    const paste = ({ clipboardData }: ClipboardEvent) => {
      // Programs put a picture beside a text, which is pasted as ever.
      if (clipboardData?.files.length && !clipboardData.types.includes("text/plain")) say();
    };
    addEventListener("dragover", over);
    addEventListener("drop", drop);
    addEventListener("paste", paste);
    return () => {
      removeEventListener("dragover", over);
      removeEventListener("drop", drop);
      removeEventListener("paste", paste);
    };
  }, [t]);
}
