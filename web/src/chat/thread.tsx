import { type ReactNode, type RefObject, useEffect, useLayoutEffect, useRef } from "react";
import { useTranslation } from "react-i18next";
import type { Message } from "../api/types";
import { announce } from "../ui/announcer";
import { IconButton } from "../ui/button";
import { beforeTurn } from "./branches";
import { Answer } from "./message/answer";
import { Question } from "./message/question";
import { type AnswerView, viewOfMessage, viewOfTurn } from "./message/view";
import { ended, type Turn } from "./stream/turn";
import { recall, useTurn } from "./stream/turns";
import { useFollow } from "./use-follow";
import { useHit } from "./use-hit";

interface ThreadProps {
  place: string;
  messages: readonly Message[];
  onEdit: (message: Message, text: string) => void;
  onRegenerate: (messageId: string) => void;
  onRead: (messageId: string) => void;
  /** What stands where there is no message. */
  empty: ReactNode;
}

/** The branch being read, and below it the turn under way. */
export function Thread({ place, messages, empty, ...acts }: ThreadProps) {
  const { t } = useTranslation();
  const turn = useTurn(place);
  const scroller = useRef<HTMLDivElement>(null);
  const { away, jump, goTo } = useFollow(scroller, turn ?? messages);
  useAnnouncements(turn);
  useReadingPlace(scroller, place, jump, goTo);
  useHit(scroller, messages, goTo, acts.onRead);
  const asked = turn !== undefined;
  // Who asks wants to see the answer; who reads above when it ends stays there.
  useEffect(() => {
    if (asked) jump();
  }, [asked, jump]);
  const busy = turn !== undefined;
  const shown: ReactNode[] = beforeTurn(messages, turn).map((message) =>
    message.role === "user" ? (
      <Question key={message.id} text={message.content} message={message} busy={busy} {...acts} />
    ) : (
      <Answer key={message.id} view={viewOf(message)} busy={busy} {...acts} />
    ),
  );
  if (turn) shown.push(...ofTurn(turn, acts));
  return (
    <div className="relative min-h-0 flex-1">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls has to be reached by keyboard. */}
      <section ref={scroller} tabIndex={0} aria-label={t("chat.title")} className="h-full overflow-y-auto">
        {shown.length === 0 ? (
          <div className="flex min-h-full flex-col justify-center">{empty}</div>
        ) : (
          <div className="mx-auto flex w-full max-w-3xl flex-col gap-6 px-4 py-6">{shown}</div>
        )}
      </section>
      {away && (
        <IconButton
          icon="bottom"
          label={t("chat.jump")}
          kind="plain"
          className="absolute bottom-3 left-1/2 size-9 -translate-x-1/2 rounded-full shadow-float"
          onClick={jump}
        />
      )}
    </div>
  );
}

/** Where each conversation was read when it was left; those that were read at their end are not here. */
const left = new Map<string, number>();

/** A conversation that is come back to is read on where it was left, another one from its end. */
function useReadingPlace(
  scroller: RefObject<HTMLElement | null>,
  place: string,
  jump: () => void,
  goTo: (top: number) => void,
): void {
  // Not later: what the next conversation scrolls by its height must not be noted for this one.
  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const before = left.get(place);
    if (before === undefined) jump();
    else goTo(before);
    const note = () => {
      const below = element.scrollHeight - element.clientHeight - element.scrollTop;
      if (below < 24) left.delete(place);
      else left.set(place, element.scrollTop);
    };
    element.addEventListener("scroll", note, { passive: true });
    return () => element.removeEventListener("scroll", note);
  }, [scroller, place, jump, goTo]);
}

function ofTurn(turn: Turn, acts: Pick<ThreadProps, "onEdit" | "onRegenerate" | "onRead">): ReactNode[] {
  const answer = <Answer key={turn.ids?.message_id ?? "answer"} view={viewOfTurn(turn)} busy {...acts} />;
  if (turn.question === null) return [answer];
  const key = turn.ids?.user_message_id ?? "question";
  return [<Question key={key} text={turn.question} message={null} busy {...acts} />, answer];
}

const views = new WeakMap<Message, AnswerView>();

/** The same view for the same message, so that what has not changed is not drawn again. */
function viewOf(message: Message): AnswerView {
  let view = views.get(message);
  if (!view) {
    view = viewOfMessage(message, recall(message.id));
    views.set(message, view);
  }
  return view;
}

/** Screen readers hear that an answer begins and how it ended, not every word of it. */
function useAnnouncements(turn: Turn | undefined): void {
  const { t } = useTranslation();
  const begun = Boolean(turn?.text);
  const over = turn !== undefined && ended(turn);
  useEffect(() => {
    if (begun) announce(t("chat.started"));
  }, [begun, t]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: said once, when it is over.
  useEffect(() => {
    if (!over || !turn) return;
    if (turn.phase === "failed") announce(t("chat.failed"));
    else if (turn.answer?.message.status === "cancelled") announce(t("chat.stopped"));
    else announce(t("chat.finished", { count: turn.text.split(/\s+/).filter(Boolean).length }));
  }, [over]);
}
