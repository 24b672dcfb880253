import { useInfiniteQuery } from "@tanstack/react-query";
import { useDeferredValue, useState } from "react";
import { useTranslation } from "react-i18next";
import { NavLink, useNavigate } from "react-router";
import { Button } from "../ui/button";
import { Icon } from "../ui/icon";
import { ErrorNotice } from "../ui/notice";
import { grouped } from "./list/groups";
import { Item } from "./list/item";
import { conversationPages } from "./queries";

/** The conversations: found, opened, renamed, deleted. */
export function ChatSide() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const [words, setWords] = useState("");
  const searched = useDeferredValue(words.trim());
  const list = useInfiniteQuery({ ...conversationPages(searched), placeholderData: (old) => old });
  const items = list.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <div className="flex h-full flex-col">
      <div className="flex flex-col gap-2 p-3">
        <NavLink to="/" className="flex items-center gap-2 px-1 py-1 font-semibold">
          <img src="./icon.svg" alt="" width="24" height="24" />
          {t("common.product")}
        </NavLink>
        <Button icon="plus" onClick={() => navigate("/")}>
          {t("chat.new")}
        </Button>
        <div className="relative">
          <span className="pointer-events-none absolute top-2.5 left-2.5 text-ink-soft">
            <Icon name="search" size={16} />
          </span>
          <input
            type="search"
            aria-label={t("chat.searchConversations")}
            placeholder={t("common.search")}
            value={words}
            onChange={(event) => setWords(event.target.value)}
            className="min-h-9 w-full rounded-sm border border-line bg-raised pr-2 pl-8 text-sm placeholder:text-ink-soft"
          />
        </div>
      </div>
      <nav aria-label={t("chat.conversations")} className="min-h-0 flex-1 overflow-y-auto px-2 pb-3">
        {list.error && <ErrorNotice error={list.error} onRetry={() => void list.refetch()} />}
        {list.data && items.length === 0 && (
          <p className="px-3 py-6 text-center text-sm text-ink-soft">
            {searched ? t("chat.nothingFound") : t("chat.noConversations")}
          </p>
        )}
        {grouped(items, new Date()).map((group) => (
          <section key={group.name} className="mt-3">
            <h2 className="px-3 pb-1 text-xs font-medium text-ink-soft">{t(`chat.groups.${group.name}`)}</h2>
            <ul>
              {group.items.map((item) => (
                <Item key={item.id} conversation={item} />
              ))}
            </ul>
          </section>
        ))}
        {list.hasNextPage && (
          <Button
            kind="quiet"
            small
            className="mt-2 w-full"
            busy={list.isFetchingNextPage}
            onClick={() => void list.fetchNextPage()}
          >
            {t("common.more")}
          </Button>
        )}
      </nav>
    </div>
  );
}
