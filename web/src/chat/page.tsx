import { useQuery } from "@tanstack/react-query";
import { useCallback, useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, useMatch } from "react-router";
import { ApiError } from "../api/errors";
import type { Message } from "../api/types";
import { TopBar } from "../layout/shell";
import { plainLine } from "../lib/text";
import { Empty, ErrorNotice } from "../ui/notice";
import { useTitle } from "../ui/page";
import { toastError } from "../ui/toast";
import { Composer, type ComposerHandle } from "./composer/composer";
import { ModelPicker } from "./composer/model-picker";
import { SystemPrompt } from "./composer/system-prompt";
import { ToolPicker } from "./composer/tool-picker";
import { EmptyChat } from "./empty";
import { conversationRead, useChangeConversation, useReadBranch } from "./queries";
import { NEW, useStanding } from "./stream/turns";
import { Thread } from "./thread";
import { useChat } from "./use-chat";
import { useFirstModel, useToolChoice } from "./use-choices";

const NO_MESSAGES: Message[] = [];

export default function ChatPage() {
  const { t } = useTranslation();
  const id = useMatch("/c/:id")?.params.id;
  const place = id ?? NEW;
  const { running, stopping } = useStanding(place);
  const read = useQuery({ ...conversationRead(id ?? ""), enabled: id !== undefined });
  const conversation = id === undefined ? undefined : read.data;
  const settings = useSettings(id, conversation);
  const chat = useChat(place, conversation, settings);
  const composer = useReturning(chat.returned, chat.takeReturned);
  const branch = useReadBranch(place);
  const title = plainLine(conversation?.title ?? "");
  useTitle(title);

  const messages = conversation?.messages ?? NO_MESSAGES;
  const { mutate } = branch;
  const onRead = useCallback((messageId: string) => mutate(messageId, { onError: toastError }), [mutate]);
  const latest = useRef(messages);
  latest.current = messages;
  const { regenerate } = chat;
  const onRegenerate = useCallback(
    (messageId: string) => {
      const answer = latest.current.find((message) => message.id === messageId);
      if (answer) regenerate(answer);
    },
    [regenerate],
  );

  const missing = read.error instanceof ApiError && read.error.status === 404;
  if (id !== undefined && missing && !running) return <Missing />;
  return (
    <div className="flex h-full flex-col">
      <TopBar>
        <h1 className="min-w-0 flex-1 truncate text-base font-medium">{title || t("chat.new")}</h1>
      </TopBar>
      <Thread
        place={place}
        messages={messages}
        onEdit={chat.edit}
        onRegenerate={onRegenerate}
        onRead={onRead}
        empty={id === undefined ? <EmptyChat onAsk={chat.ask} /> : null}
      />
      <div className="unprinted mx-auto flex w-full max-w-3xl flex-col gap-2 px-4 pb-4">
        {read.error && !missing ? (
          <ErrorNotice error={read.error} onRetry={() => void read.refetch()} />
        ) : null}
        {chat.refusal ? <ErrorNotice error={chat.refusal} /> : null}
        <Composer
          ref={composer}
          place={place}
          running={running}
          stopping={stopping}
          onSend={chat.ask}
          onStop={chat.stop}
        >
          <ModelPicker value={settings.model} onChange={settings.chooseModel} />
          <ToolPicker value={settings.tools} onChange={settings.chooseTools} />
          <SystemPrompt key={place} value={settings.system} onChange={settings.chooseSystem} />
        </Composer>
      </div>
    </div>
  );
}

/** Model, tools and instructions: a conversation's own, or those for the next one. */
function useSettings(
  id: string | undefined,
  conversation: { model: string | null; system: string | null } | undefined,
) {
  const change = useChangeConversation(id ?? "");
  const [firstModel, chooseFirstModel] = useFirstModel();
  const [firstSystem, setFirstSystem] = useState("");
  const [tools, chooseTools] = useToolChoice();
  const begun = id !== undefined;
  const chooseModel = (name: string) => {
    chooseFirstModel(name);
    if (begun) change.mutate({ model: name }, { onError: toastError });
  };
  const chooseSystem = async (text: string) => {
    if (begun) await change.mutateAsync({ system: text || null }).catch(toastError);
    else setFirstSystem(text);
  };
  // The next conversation begins without the instructions of the one before.
  useEffect(() => {
    if (begun) setFirstSystem("");
  }, [begun]);
  return {
    model: (begun ? conversation?.model : firstModel) ?? firstModel,
    system: (begun ? conversation?.system : firstSystem) ?? "",
    tools,
    chooseModel,
    chooseSystem,
    chooseTools,
  };
}

/** A question that was not taken goes back into the field. */
function useReturning(returned: string | null, taken: () => void) {
  const composer = useRef<ComposerHandle>(null);
  useEffect(() => {
    if (returned === null) return;
    composer.current?.offer(returned);
    taken();
  }, [returned, taken]);
  return composer;
}

function Missing() {
  const { t } = useTranslation();
  return (
    <>
      <TopBar />
      <Empty page icon="chat" title={t("chat.missing")}>
        <p>{t("chat.missingHint")}</p>
        <Link to="/" className="mt-3 inline-block font-medium text-accent underline underline-offset-2">
          {t("chat.startNew")}
        </Link>
      </Empty>
    </>
  );
}
