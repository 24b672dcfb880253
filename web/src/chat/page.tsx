import { useQuery } from "@tanstack/react-query";
import { useCallback, useEffect, useRef } from "react";
import { useTranslation } from "react-i18next";
import { Link, useMatch } from "react-router";
import { ApiError } from "../api/errors";
import type { Message } from "../api/types";
import { TopBar } from "../layout/shell";
import { sanitizeLine } from "../lib/text";
import { EmptyState } from "../ui/empty-state";
import { ErrorNotice } from "../ui/error-notice";
import { useDocumentTitle } from "../ui/page";
import { TEXT_LINK_CLASS } from "../ui/text-link";
import { toastError } from "../ui/toast";
import { Composer, type ComposerHandle } from "./composer/composer";
import { ModelPicker } from "./composer/model-picker";
import { SystemPrompt } from "./composer/system-prompt";
import { ToolPicker } from "./composer/tool-picker";
import { EmptyChat } from "./empty-state";
import { conversationQuery, useSwitchBranch } from "./queries";
import { NEW_CONVERSATION, useTurnStatus } from "./stream/turn-store";
import { Thread } from "./thread/thread";
import { useChat } from "./use-chat";
import { useChatSettings } from "./use-chat-settings";

const NO_MESSAGES: Message[] = [];

/** Connects the conversation, its settings and its running turn to the thread and the composer: hence its length. */
export function ChatPage() {
  const { t } = useTranslation();
  const id = useMatch("/c/:id")?.params.id;
  const conversationKey = id ?? NEW_CONVERSATION;
  const { running, stopping } = useTurnStatus(conversationKey);
  const query = useQuery({ ...conversationQuery(id ?? ""), enabled: id !== undefined });
  const conversation = id === undefined ? undefined : query.data;
  const settings = useChatSettings(id, conversation);
  const chat = useChat(conversationKey, conversation, settings);
  const composer = useRestoreRejectedText(chat.rejectedText, chat.clearRejectedText);
  const title = sanitizeLine(conversation?.title ?? "");
  useDocumentTitle(title);

  const messages = conversation?.messages ?? NO_MESSAGES;
  const onSwitchBranch = useSwitchBranchHandler(conversationKey);
  const onRegenerate = useRegenerateHandler(messages, chat.regenerate);

  const notFound = query.error instanceof ApiError && query.error.status === 404;
  if (id !== undefined && notFound && !running) return <ConversationNotFound />;
  return (
    <div className="flex h-full flex-col">
      <TopBar>
        <h1 className="min-w-0 flex-1 truncate text-base font-medium">{title || t("chat.new")}</h1>
      </TopBar>
      <Thread
        conversationKey={conversationKey}
        messages={messages}
        onEdit={chat.edit}
        onRegenerate={onRegenerate}
        onSwitchBranch={onSwitchBranch}
        empty={id === undefined ? <EmptyChat onSend={chat.send} /> : null}
      />
      <div className="mx-auto flex w-full max-w-3xl flex-col gap-2 px-4 pb-4 print:hidden">
        {query.error && !notFound ? (
          <ErrorNotice error={query.error} onRetry={() => void query.refetch()} />
        ) : null}
        {chat.sendError ? <ErrorNotice error={chat.sendError} /> : null}
        <Composer
          ref={composer}
          conversationKey={conversationKey}
          running={running}
          stopping={stopping}
          onSend={chat.send}
          onStop={chat.stop}
        >
          <ModelPicker value={settings.model} onChange={settings.setModel} />
          <ToolPicker value={settings.tools} onChange={settings.setTools} />
          <SystemPrompt
            key={conversationKey}
            value={settings.systemPrompt}
            onChange={settings.setSystemPrompt}
          />
        </Composer>
      </div>
    </div>
  );
}

function useSwitchBranchHandler(conversationId: string): (messageId: string) => void {
  const { mutate } = useSwitchBranch(conversationId);
  return useCallback((messageId: string) => mutate(messageId, { onError: toastError }), [mutate]);
}

/** A handler that stays the same while messages change, so that memoised answers are not rendered again. */
function useRegenerateHandler(
  messages: readonly Message[],
  regenerate: (answer: Message) => void,
): (messageId: string) => void {
  const latestMessages = useRef(messages);
  latestMessages.current = messages;
  return useCallback(
    (messageId: string) => {
      const answer = latestMessages.current.find((message) => message.id === messageId);
      if (answer) regenerate(answer);
    },
    [regenerate],
  );
}

/** Puts the text of a rejected question back into the composer. */
function useRestoreRejectedText(rejectedText: string | null, onRestored: () => void) {
  const composer = useRef<ComposerHandle>(null);
  useEffect(() => {
    if (rejectedText === null) return;
    composer.current?.insertIfEmpty(rejectedText);
    onRestored();
  }, [rejectedText, onRestored]);
  return composer;
}

function ConversationNotFound() {
  const { t } = useTranslation();
  return (
    <>
      <TopBar />
      <EmptyState page icon="chat" title={t("chat.notFound")}>
        <p>{t("chat.notFoundHint")}</p>
        <Link to="/" className={`mt-3 inline-block ${TEXT_LINK_CLASS}`}>
          {t("chat.startNew")}
        </Link>
      </EmptyState>
    </>
  );
}
