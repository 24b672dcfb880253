/** Queries and mutations of conversations, models and tools. */
import {
  type InfiniteData,
  infiniteQueryOptions,
  type QueryClient,
  queryOptions,
  useMutation,
  useQueryClient,
} from "@tanstack/react-query";
import { requestJson } from "../api/client";
import type {
  Conversation,
  ConversationPage,
  ConversationWithMessages,
  ModelOption,
  ToolOption,
} from "../api/types";

const PAGE_SIZE = 30;
const LIST_KEY = ["conversations"] as const;

export function conversationListQuery(query: string) {
  return infiniteQueryOptions({
    queryKey: [...LIST_KEY, query],
    queryFn: ({ pageParam, signal }) =>
      requestJson<ConversationPage>("/api/conversations", {
        query: { q: query, cursor: pageParam, limit: PAGE_SIZE },
        signal,
      }),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
  });
}

export function conversationQuery(id: string) {
  return queryOptions({
    queryKey: ["conversation", id],
    queryFn: ({ signal }) => requestJson<ConversationWithMessages>(`/api/conversations/${id}`, { signal }),
  });
}

export const chatModelsQuery = queryOptions({
  queryKey: ["models"],
  queryFn: async ({ signal }) => {
    const { items } = await requestJson<{ items: ModelOption[] }>("/api/models", { signal });
    return items.filter(
      ({ capabilities }) => !capabilities.includes("embeddings") && !capabilities.includes("images"),
    );
  },
  staleTime: 60_000,
});

export const chatToolsQuery = queryOptions({
  queryKey: ["tools"],
  queryFn: async ({ signal }) => (await requestJson<{ items: ToolOption[] }>("/api/tools", { signal })).items,
  staleTime: 60_000,
});

export function refreshList(queryClient: QueryClient): Promise<void> {
  return queryClient.invalidateQueries({ queryKey: LIST_KEY });
}

/** Moves a conversation to the top of the cached list without fetching it. */
export function moveToTopOfList(queryClient: QueryClient, conversation: Conversation): void {
  queryClient.setQueryData<InfiniteData<ConversationPage>>([...LIST_KEY, ""], (list) => {
    const [first, ...rest] =
      list?.pages.map(({ items, ...page }) => ({
        ...page,
        items: items.filter(({ id }) => id !== conversation.id),
      })) ?? [];
    if (!list || !first) return list;
    return { ...list, pages: [{ ...first, items: [conversation, ...first.items] }, ...rest] };
  });
}

export type ConversationPatch = Partial<{
  title: string;
  model: string | null;
  system: string | null;
  head_id: string;
}>;

/** Changes a conversation; the cached list is updated as well. */
export function useUpdateConversation(id: string) {
  const queryClient = useQueryClient();
  return useMutation({
    mutationFn: (patch: ConversationPatch) =>
      requestJson<Conversation>(`/api/conversations/${id}`, { method: "PATCH", body: patch }),
    onSuccess: (updated) => {
      queryClient.setQueryData(
        conversationQuery(id).queryKey,
        (cached) => cached && { ...cached, ...updated },
      );
      queryClient.setQueriesData<InfiniteData<ConversationPage>>(
        { queryKey: LIST_KEY },
        (list) => list && withReplaced(list, updated),
      );
    },
  });
}

export function useDeleteConversation(id: string) {
  const queryClient = useQueryClient();
  return useMutation({
    mutationFn: () => requestJson<void>(`/api/conversations/${id}`, { method: "DELETE" }),
    onSuccess: () => {
      queryClient.removeQueries({ queryKey: conversationQuery(id).queryKey });
      return refreshList(queryClient);
    },
  });
}

/** Switches a conversation to the branch that contains a message. */
export function useSwitchBranch(id: string) {
  const queryClient = useQueryClient();
  return useMutation({
    mutationFn: async (messageId: string) => {
      await requestJson(`/api/conversations/${id}`, { method: "PATCH", body: { head_id: messageId } });
      return await requestJson<ConversationWithMessages>(`/api/conversations/${id}`);
    },
    onSuccess: (read) => queryClient.setQueryData(conversationQuery(id).queryKey, read),
  });
}

function withReplaced(
  list: InfiniteData<ConversationPage>,
  updated: Conversation,
): InfiniteData<ConversationPage> {
  const replaceItem = (item: Conversation) => (item.id === updated.id ? { ...item, ...updated } : item);
  return {
    ...list,
    pages: list.pages.map((page) => ({ ...page, items: page.items.map(replaceItem) })),
  } as typeof list;
}
