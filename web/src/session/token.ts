/**
 * The access token of this browser's session: in memory alone, one refresh for all tabs, one sign-out for all.
 *
 * The refresh token is in a cookie that no script can read. A tab that needs a token takes the lock, and finds either
 * that another tab has sent one meanwhile or refreshes and sends its own. A new tab asks the others first.
 */
import { ApiError, errorOf, UNREACHABLE } from "../api/errors";
import { readPreference, writePreference } from "../lib/preference";
import { at, BASENAME } from "../lib/root";

export interface Token {
  value: string;
  /** Milliseconds since 1970. */
  expiresAt: number;
}

type Note = { kind: "token"; token: Token } | { kind: "wanted" } | { kind: "ended" };

interface TokenBody {
  access_token: string;
  expires_in: number;
}

const HEADERS = { "content-type": "application/json", "x-gateway-console": "1" };
/** A token this close to its end is refreshed before it is used. */
const EARLY_MS = 20_000;
/** How long another tab may take to say that it has one; they answer in a few milliseconds. */
const ANSWER_MS = 80;

/** Set while this browser is known to have no session: there is nothing to refresh. */
const NO_SESSION = `signed-out${BASENAME}`;

let current: Token | null = null;
let refreshing: Promise<Token | null> | null = null;
let asked = false;
const endings = new Set<() => void>();
const arrivals = new Set<() => void>();
const channel = "BroadcastChannel" in globalThis ? new BroadcastChannel("gw.session") : null;

channel?.addEventListener("message", ({ data }: MessageEvent<Note>) => {
  if (data.kind === "token") arrive(data.token);
  else if (data.kind === "wanted" && current && fresh(current)) send({ kind: "token", token: current });
  else if (data.kind === "ended") forget();
});

/** Called when the session has ended, here or in another tab. */
export function onSessionEnd(listener: () => void): () => void {
  endings.add(listener);
  return () => endings.delete(listener);
}

/** Called when another tab has signed in. */
export function onTokenArrival(listener: () => void): () => void {
  arrivals.add(listener);
  return () => arrivals.delete(listener);
}

/** A token that is good now; null where nobody is signed in. Raises ApiError where that cannot be known. */
export async function accessToken(): Promise<string | null> {
  if (current && fresh(current)) return current.value;
  return (await renewed(current?.value ?? null))?.value ?? null;
}

/** Another token than `refused`, which the gateway did not take. */
export async function tokenInsteadOf(refused: string): Promise<string | null> {
  if (current && current.value !== refused && fresh(current)) return current.value;
  return (await renewed(refused))?.value ?? null;
}

/** Waits for a refresh that is under way, whose answer would end or replace the new session. Raises ApiError. */
export function signIn(email: string, password: string): Promise<void> {
  return exclusively(async () => {
    const response = await post("/api/auth/session", { email, password });
    if (!response.ok) throw await errorOf(response);
    take((await response.json()) as TokenBody);
  });
}

/** Ends the session in every tab; the cookie goes with it. Raises ApiError where the gateway could not be told. */
export async function signOut(): Promise<void> {
  const response = await reach(at("/api/auth/session"), { method: "DELETE", headers: HEADERS });
  if (!response.ok && response.status !== 401) throw await errorOf(response);
  end();
}

/** The session is over, whoever ended it: forget the token here and in the other tabs. */
export function end(): void {
  send({ kind: "ended" });
  forget();
}

function fresh(token: Token): boolean {
  return token.expiresAt - EARLY_MS > Date.now();
}

function forget(): void {
  current = null;
  writePreference(NO_SESSION, "1");
  for (const listener of endings) listener();
}

function arrive(token: Token): void {
  const signedOut = current === null;
  current = token;
  if (signedOut) for (const listener of arrivals) listener();
}

function take(body: TokenBody): Token {
  const token = { value: body.access_token, expiresAt: Date.now() + body.expires_in * 1000 };
  current = token;
  writePreference(NO_SESSION, null);
  send({ kind: "token", token });
  return token;
}

function send(note: Note): void {
  channel?.postMessage(note);
}

function renewed(stale: string | null): Promise<Token | null> {
  refreshing ??= exclusively(() => renew(stale)).finally(() => {
    refreshing = null;
  });
  return refreshing;
}

async function renew(stale: string | null): Promise<Token | null> {
  if (current && current.value !== stale && fresh(current)) return current;
  if (current === null && !asked) {
    asked = true;
    const token = await askOthers();
    if (token) return token;
  }
  if (current === null && readPreference(NO_SESSION)) return null;
  const before = current;
  const response = await post("/api/auth/session/refresh");
  if (current !== before) return current; // somebody signed in meanwhile, where there are no locks
  if (response.ok) return take((await response.json()) as TokenBody);
  if (response.status === 401) {
    if (current) end();
    else writePreference(NO_SESSION, "1");
    return null;
  }
  throw await errorOf(response);
}

/** The token of another tab, which the channel's listener has taken by then. */
async function askOthers(): Promise<Token | null> {
  if (!channel) return null;
  await new Promise<void>((resolve) => {
    const settle = () => {
      clearTimeout(timer);
      arrivals.delete(settle);
      resolve();
    };
    const timer = setTimeout(settle, ANSWER_MS);
    arrivals.add(settle);
    send({ kind: "wanted" });
  });
  return current;
}

/** One tab at a time; where there are no locks (http on another host), the gateway's grace for two refreshes has to do. */
async function exclusively<T>(work: () => Promise<T>): Promise<T> {
  return navigator.locks ? await navigator.locks.request("gw.session", work) : await work();
}

function post(path: string, body: object = {}): Promise<Response> {
  return reach(at(path), { method: "POST", headers: HEADERS, body: JSON.stringify(body) });
}

/** `fetch`, whose failure to reach anybody is an ApiError like others. */
export async function reach(url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, UNREACHABLE, "");
  }
}
