/** What is read and changed of conversations, models and tools. */
import {
  type InfiniteData,
  infiniteQueryOptions,
  type QueryClient,
  queryOptions,
  useMutation,
  useQueryClient,
} from "@tanstack/react-query";
import { call } from "../api/client";
import type { Conversation, ConversationPage, ConversationRead, ModelChoice, ToolChoice } from "../api/types";

const PAGE = 30;
const LIST = ["conversations"] as const;

export function conversationPages(words: string) {
  return infiniteQueryOptions({
    queryKey: [...LIST, words],
    queryFn: ({ pageParam, signal }) =>
      call<ConversationPage>("/api/conversations", {
        query: { q: words, cursor: pageParam, limit: PAGE },
        signal,
      }),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
  });
}

export function conversationRead(id: string) {
  return queryOptions({
    queryKey: ["conversation", id],
    queryFn: ({ signal }) => call<ConversationRead>(`/api/conversations/${id}`, { signal }),
  });
}

export const chatModels = queryOptions({
  queryKey: ["models"],
  queryFn: async ({ signal }) => {
    const { items } = await call<{ items: ModelChoice[] }>("/api/models", { signal });
    return items.filter(
      ({ capabilities }) => !capabilities.includes("embeddings") && !capabilities.includes("images"),
    );
  },
  staleTime: 60_000,
});

export const chatTools = queryOptions({
  queryKey: ["tools"],
  queryFn: async ({ signal }) => (await call<{ items: ToolChoice[] }>("/api/tools", { signal })).items,
  staleTime: 60_000,
});

export function refreshList(queries: QueryClient): Promise<void> {
  return queries.invalidateQueries({ queryKey: LIST });
}

/** Shows a conversation at the head of the list, without reading the list anew. */
export function showInList(queries: QueryClient, conversation: Conversation): void {
  queries.setQueryData<InfiniteData<ConversationPage>>([...LIST, ""], (old) => {
    const [first, ...rest] =
      old?.pages.map(({ items, ...page }) => ({
        ...page,
        items: items.filter(({ id }) => id !== conversation.id),
      })) ?? [];
    if (!old || !first) return old;
    return { ...old, pages: [{ ...first, items: [conversation, ...first.items] }, ...rest] };
  });
}

export type Patch = Partial<{ title: string; model: string | null; system: string | null; head_id: string }>;

/** Changes a conversation; the list shows a new title at once. */
export function useChangeConversation(id: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (patch: Patch) =>
      call<Conversation>(`/api/conversations/${id}`, { method: "PATCH", body: patch }),
    onSuccess: (changed) => {
      queries.setQueryData(conversationRead(id).queryKey, (old) => old && { ...old, ...changed });
      queries.setQueriesData<InfiniteData<ConversationPage>>(
        { queryKey: LIST },
        (old) => old && replaced(old, changed),
      );
    },
  });
}

export function useDeleteConversation(id: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: () => call<void>(`/api/conversations/${id}`, { method: "DELETE" }),
    onSuccess: () => {
      queries.removeQueries({ queryKey: conversationRead(id).queryKey });
      return refreshList(queries);
    },
  });
}

/** Reads the branch that another message belongs to. */
export function useReadBranch(id: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async (messageId: string) => {
      await call(`/api/conversations/${id}`, { method: "PATCH", body: { head_id: messageId } });
      return await call<ConversationRead>(`/api/conversations/${id}`);
    },
    onSuccess: (read) => queries.setQueryData(conversationRead(id).queryKey, read),
  });
}

function replaced(
  old: InfiniteData<ConversationPage>,
  changed: Conversation,
): InfiniteData<ConversationPage> {
  const swap = (item: Conversation) => (item.id === changed.id ? { ...item, ...changed } : item);
  return { ...old, pages: old.pages.map((page) => ({ ...page, items: page.items.map(swap) })) } as typeof old;
}
