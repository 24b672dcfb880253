import { useInfiniteQuery } from "@tanstack/react-query";
import { memo, useState } from "react";
import { useTranslation } from "react-i18next";
import { NavLink, useNavigate } from "react-router";
import { useDebouncedValue } from "../../lib/use-debounced-value";
import { Button } from "../../ui/button";
import { cx } from "../../ui/cx";
import { ErrorNotice } from "../../ui/error-notice";
import { Icon } from "../../ui/icon";
import { conversationListQuery } from "../queries";
import { ConversationItem } from "./conversation-item";
import { groupByDate } from "./date-groups";

/** The conversation list with search. */
export function Sidebar() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const [query, setQuery] = useState("");
  const debouncedQuery = useDebouncedValue(query.trim());
  return (
    <div className="flex h-full flex-col">
      <div className="flex flex-col gap-2 p-3">
        <NavLink to="/" className="flex items-center gap-2 px-1 py-1 font-semibold">
          <img src="./icon.svg" alt="" width="24" height="24" />
          {t("common.product")}
        </NavLink>
        <Button
          icon="plus"
          data-shortcut="new"
          aria-keyshortcuts="Control+Shift+O"
          onClick={() => navigate("/")}
        >
          {t("chat.new")}
        </Button>
        <div className="relative">
          <span className="pointer-events-none absolute top-2.5 left-2.5 text-ink-soft">
            <Icon name="search" size={16} />
          </span>
          <input
            type="search"
            data-shortcut="search"
            aria-keyshortcuts="Control+K"
            aria-label={t("chat.searchConversations")}
            placeholder={t("common.search")}
            value={query}
            onChange={(event) => setQuery(event.target.value)}
            className="min-h-9 w-full rounded-sm border border-line bg-raised pr-2 pl-8 text-sm placeholder:text-ink-soft"
          />
        </div>
      </div>
      <ConversationList query={debouncedQuery} />
    </div>
  );
}

/** Memoised, so that typing in the search field does not render the list again. */
const ConversationList = memo(function List({ query }: { query: string }) {
  const { t } = useTranslation();
  const list = useInfiniteQuery({ ...conversationListQuery(query), placeholderData: (stale) => stale });
  const items = list.data?.pages.flatMap((page) => page.items) ?? [];
  // The list still shows the results of the previous query.
  const old = list.isPlaceholderData;
  return (
    <nav
      aria-label={t("chat.conversations")}
      aria-busy={old}
      className={cx("min-h-0 flex-1 overflow-y-auto px-2 pb-3", old && "[&_section]:opacity-50")}
    >
      {old && (
        <p role="status" className="px-3 py-2 text-sm text-ink-soft">
          {t("chat.searching")}
        </p>
      )}
      {list.error && <ErrorNotice error={list.error} onRetry={() => void list.refetch()} />}
      {list.data && !old && items.length === 0 && (
        <p className="px-3 py-6 text-center text-sm text-ink-soft">
          {query ? t("chat.noSearchResults") : t("chat.noConversations")}
        </p>
      )}
      {groupByDate(items, new Date()).map((group) => (
        <section key={group.name} className="mt-3">
          <h2 className="px-3 pb-1 text-xs font-medium text-ink-soft">{t(`chat.groups.${group.name}`)}</h2>
          <ul>
            {group.items.map((item) => (
              <ConversationItem key={item.id} conversation={item} query={old ? "" : query} />
            ))}
          </ul>
        </section>
      ))}
      {list.hasNextPage && (
        <Button
          variant="ghost"
          small
          className="mt-2 w-full"
          busy={list.isFetchingNextPage}
          onClick={() => void list.fetchNextPage()}
        >
          {t("common.showMore")}
        </Button>
      )}
    </nav>
  );
});
