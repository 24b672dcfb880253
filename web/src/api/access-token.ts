/**
 * The session's access token, shared by all tabs of this browser.
 *
 * The token is kept in memory only; the refresh token is in an `HttpOnly` cookie. A tab that needs a token takes a
 * lock, then either uses a token that another tab has broadcast meanwhile, or refreshes and broadcasts the result.
 * A new tab asks the other tabs before it refreshes.
 */
import { gatewayUrl, ROUTER_BASENAME } from "../lib/base-url";
import { readPreference, writePreference } from "../lib/preferences";
import { errorFromResponse } from "./errors";
import { fetchOrApiError } from "./http";

export interface Token {
  value: string;
  /** Milliseconds since 1970. */
  expiresAt: number;
}

type TabMessage = { kind: "token"; token: Token } | { kind: "token-request" } | { kind: "session-ended" };

interface TokenResponse {
  access_token: string;
  expires_in: number;
}

const SESSION_HEADERS = { "content-type": "application/json", "x-gateway-console": "1" };
/** A token that expires within this time is refreshed before use. */
const REFRESH_MARGIN_MS = 20_000;
/** How long to wait for a token from another tab; tabs reply within a few milliseconds. */
const OTHER_TABS_TIMEOUT_MS = 80;

/** Preference that is set while this browser has no session, so that nothing is refreshed. */
const SIGNED_OUT_FLAG = `signed-out${ROUTER_BASENAME}`;

let current: Token | null = null;
let refreshing: Promise<Token | null> | null = null;
let askedOtherTabs = false;
const sessionEndListeners = new Set<() => void>();
const tokenListeners = new Set<() => void>();
const channel = "BroadcastChannel" in globalThis ? new BroadcastChannel("gw.session") : null;

channel?.addEventListener("message", ({ data }: MessageEvent<TabMessage>) => {
  if (data.kind === "token") receiveToken(data.token);
  else if (data.kind === "token-request" && current && isFresh(current))
    broadcast({ kind: "token", token: current });
  else if (data.kind === "session-ended") clearSession();
});

/** Calls `listener` when the session ends in this tab or in another one; returns the unsubscribe function. */
export function onSessionEnd(listener: () => void): () => void {
  sessionEndListeners.add(listener);
  return () => sessionEndListeners.delete(listener);
}

/** Calls `listener` when another tab has signed in; returns the unsubscribe function. */
export function onTokenReceived(listener: () => void): () => void {
  tokenListeners.add(listener);
  return () => tokenListeners.delete(listener);
}

/** A valid token, or null if no one is signed in. Throws an `ApiError` if the refresh fails. */
export async function accessToken(): Promise<string | null> {
  if (current && isFresh(current)) return current.value;
  return (await refreshOnce(current?.value ?? null))?.value ?? null;
}

/** A new token after the gateway has rejected `rejected`. */
export async function replaceToken(rejected: string): Promise<string | null> {
  if (current && current.value !== rejected && isFresh(current)) return current.value;
  return (await refreshOnce(rejected))?.value ?? null;
}

/**
 * Signs in. Throws an `ApiError`.
 *
 * Waits for a running refresh first: its result would end or replace the new session.
 */
export function signIn(email: string, password: string): Promise<void> {
  return withSessionLock(async () => {
    const response = await postJson("/api/auth/session", { email, password });
    if (!response.ok) throw await errorFromResponse(response);
    storeToken((await response.json()) as TokenResponse);
  });
}

/** Ends the session in every tab and deletes the cookie. Throws an `ApiError` if the request fails. */
export async function signOut(): Promise<void> {
  const response = await fetchOrApiError(gatewayUrl("/api/auth/session"), {
    method: "DELETE",
    headers: SESSION_HEADERS,
  });
  if (!response.ok && response.status !== 401) throw await errorFromResponse(response);
  endSession();
}

/** Discards the token in this tab and in all others. */
export function endSession(): void {
  broadcast({ kind: "session-ended" });
  clearSession();
}

function isFresh(token: Token): boolean {
  return token.expiresAt - REFRESH_MARGIN_MS > Date.now();
}

function clearSession(): void {
  current = null;
  writePreference(SIGNED_OUT_FLAG, "1");
  for (const listener of sessionEndListeners) listener();
}

function receiveToken(token: Token): void {
  const wasSignedOut = current === null;
  current = token;
  if (wasSignedOut) for (const listener of tokenListeners) listener();
}

function storeToken(body: TokenResponse): Token {
  const token = { value: body.access_token, expiresAt: Date.now() + body.expires_in * 1000 };
  current = token;
  writePreference(SIGNED_OUT_FLAG, null);
  broadcast({ kind: "token", token });
  return token;
}

function broadcast(message: TabMessage): void {
  channel?.postMessage(message);
}

/** Concurrent callers share one refresh. */
function refreshOnce(rejected: string | null): Promise<Token | null> {
  refreshing ??= withSessionLock(() => refresh(rejected)).finally(() => {
    refreshing = null;
  });
  return refreshing;
}

async function refresh(rejected: string | null): Promise<Token | null> {
  if (current && current.value !== rejected && isFresh(current)) return current;
  if (current === null && !askedOtherTabs) {
    askedOtherTabs = true;
    const token = await requestFromOtherTabs();
    if (token) return token;
  }
  if (current === null && readPreference(SIGNED_OUT_FLAG)) return null;
  const before = current;
  const response = await postJson("/api/auth/session/refresh");
  if (current !== before) return current; // another tab signed in meanwhile; possible only without locks
  if (response.ok) return storeToken((await response.json()) as TokenResponse);
  if (response.status === 401) {
    if (current) endSession();
    else writePreference(SIGNED_OUT_FLAG, "1");
    return null;
  }
  throw await errorFromResponse(response);
}

/** Asks the other tabs for their token; the channel's message listener stores the reply in `current`. */
async function requestFromOtherTabs(): Promise<Token | null> {
  if (!channel) return null;
  await new Promise<void>((resolve) => {
    const finish = () => {
      clearTimeout(timer);
      tokenListeners.delete(finish);
      resolve();
    };
    const timer = setTimeout(finish, OTHER_TABS_TIMEOUT_MS);
    tokenListeners.add(finish);
    broadcast({ kind: "token-request" });
  });
  return current;
}

/**
 * Runs `action` in one tab at a time.
 *
 * Web Locks need a secure context. Without them two tabs may refresh at once, which the gateway's grace period allows.
 */
async function withSessionLock<T>(action: () => Promise<T>): Promise<T> {
  return navigator.locks ? await navigator.locks.request("gw.session", action) : await action();
}

function postJson(path: string, body: object = {}): Promise<Response> {
  return fetchOrApiError(gatewayUrl(path), {
    method: "POST",
    headers: SESSION_HEADERS,
    body: JSON.stringify(body),
  });
}
