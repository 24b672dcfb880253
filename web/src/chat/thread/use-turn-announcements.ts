import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { announce } from "../../ui/live-region";
import { isFinished, type Turn } from "../stream/turn-reducer";

/** Announces the start and the end of an answer to screen readers, but not its text. */
export function useTurnAnnouncements(turn: Turn | undefined): void {
  const { t } = useTranslation();
  const hasText = Boolean(turn?.text);
  const finished = turn !== undefined && isFinished(turn);
  useEffect(() => {
    if (hasText) announce(t("chat.started"));
  }, [hasText, t]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: announce the end once.
  useEffect(() => {
    if (!finished || !turn) return;
    if (turn.phase === "failed") announce(t("chat.failed"));
    else if (turn.answer?.message.status === "cancelled") announce(t("chat.stopped"));
    else announce(t("chat.finished", { count: turn.text.split(/\s+/).filter(Boolean).length }));
  }, [finished]);
}
