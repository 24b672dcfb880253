import { type ReactNode, useEffect, useRef } from "react";
import { useTranslation } from "react-i18next";
import type { Message } from "../../api/types";
import { IconButton } from "../../ui/button";
import { Answer } from "../message/answer";
import { type AnswerView, viewFromMessage, viewFromTurn } from "../message/answer-view";
import { messagesBeforeTurn } from "../message/branches";
import { Question } from "../message/question";
import type { Turn } from "../stream/turn-reducer";
import { cachedTurn, useTurn } from "../stream/turn-store";
import { useAutoScroll } from "./use-auto-scroll";
import { useScrollRestoration } from "./use-scroll-restoration";
import { useSearchHit } from "./use-search-hit";
import { useTurnAnnouncements } from "./use-turn-announcements";

interface MessageHandlers {
  onEdit: (message: Message, text: string) => void;
  onRegenerate: (messageId: string) => void;
  onSwitchBranch: (messageId: string) => void;
}

interface ThreadProps extends MessageHandlers {
  conversationKey: string;
  messages: readonly Message[];
  /** Shown if there are no messages. */
  empty: ReactNode;
}

/** The messages of the current branch, followed by the running turn. */
export function Thread({ conversationKey, messages, empty, ...handlers }: ThreadProps) {
  const { t } = useTranslation();
  const turn = useTurn(conversationKey);
  const scroller = useRef<HTMLDivElement>(null);
  const { scrolledUp, scrollToEnd, scrollTo } = useAutoScroll(scroller, turn ?? messages);
  useTurnAnnouncements(turn);
  useScrollRestoration(scroller, conversationKey, scrollToEnd, scrollTo);
  useSearchHit(scroller, messages, scrollTo, handlers.onSwitchBranch);
  const turnRunning = turn !== undefined;
  // Scroll to a new turn when it starts, but not when it ends.
  useEffect(() => {
    if (turnRunning) scrollToEnd();
  }, [turnRunning, scrollToEnd]);
  const items: ReactNode[] = messagesBeforeTurn(messages, turn).map((message) =>
    message.role === "user" ? (
      <Question key={message.id} text={message.content} message={message} busy={turnRunning} {...handlers} />
    ) : (
      <Answer key={message.id} view={cachedView(message)} busy={turnRunning} {...handlers} />
    ),
  );
  if (turn) items.push(...turnItems(turn, handlers));
  return (
    <div className="relative min-h-0 flex-1">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable region must be reachable by keyboard. */}
      <section ref={scroller} tabIndex={0} aria-label={t("chat.title")} className="h-full overflow-y-auto">
        {items.length === 0 ? (
          <div className="flex min-h-full flex-col justify-center">{empty}</div>
        ) : (
          <div className="mx-auto flex w-full max-w-3xl flex-col gap-6 px-4 py-6">{items}</div>
        )}
      </section>
      {scrolledUp && (
        <IconButton
          icon="arrow-down"
          label={t("chat.scrollToEnd")}
          variant="secondary"
          className="absolute bottom-3 left-1/2 size-9 -translate-x-1/2 rounded-full shadow-float"
          onClick={scrollToEnd}
        />
      )}
    </div>
  );
}

function turnItems(turn: Turn, handlers: MessageHandlers): ReactNode[] {
  const answer = (
    <Answer key={turn.ids?.message_id ?? "answer"} view={viewFromTurn(turn)} busy {...handlers} />
  );
  if (turn.question === null) return [answer];
  const key = turn.ids?.user_message_id ?? "question";
  return [<Question key={key} text={turn.question} message={null} busy {...handlers} />, answer];
}

const viewCache = new WeakMap<Message, AnswerView>();

/** The same view object for the same message, so that memoised answers are not rendered again. */
function cachedView(message: Message): AnswerView {
  let view = viewCache.get(message);
  if (!view) {
    view = viewFromMessage(message, cachedTurn(message.id));
    viewCache.set(message, view);
  }
  return view;
}
