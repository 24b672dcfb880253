/** Calls of the gateway with this session's token; the types are those of its OpenAPI page. */
import { at } from "../lib/root";
import { accessToken, end, reach, tokenInsteadOf } from "../session/token";
import { ApiError, errorOf } from "./errors";

export interface CallOptions {
  method?: string;
  query?: Record<string, string | number | boolean | null | undefined>;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal | null;
}

/** Refusals of the token itself; another 401 is about what was sent with it, such as a password to confirm by. */
const OF_THE_TOKEN = new Set(["token_expired", "token_invalid", "token_reused"]);

/** The answer to an authorised request; one that was refused for its token is sent once more with another. */
export async function request(path: string, options: CallOptions = {}): Promise<Response> {
  const token = await accessToken();
  if (token === null) throw signedOut();
  const response = await once(path, options, token);
  if (response.ok) return response;
  const refusal = await errorOf(response);
  if (!OF_THE_TOKEN.has(refusal.code)) throw refusal;
  const other = await tokenInsteadOf(token);
  if (other === null) throw signedOut();
  const second = await once(path, options, other);
  if (second.ok) return second;
  const final = await errorOf(second);
  if (OF_THE_TOKEN.has(final.code)) end();
  throw final;
}

/** The JSON of an authorised request; undefined where there is no body. */
export async function call<T>(path: string, options: CallOptions = {}): Promise<T> {
  const response = await request(path, options);
  return (response.status === 204 || response.status === 202 ? undefined : await response.json()) as T;
}

/** The JSON of a request that needs nobody to be signed in. */
export async function callPublic<T>(path: string, options: CallOptions = {}): Promise<T> {
  const response = await once(path, options, null);
  if (!response.ok) throw await errorOf(response);
  return (response.status === 204 || response.status === 202 ? undefined : await response.json()) as T;
}

function once(path: string, options: CallOptions, token: string | null): Promise<Response> {
  const headers: Record<string, string> = { ...options.headers };
  if (token !== null) headers.authorization = `Bearer ${token}`;
  if (options.body !== undefined) headers["content-type"] = "application/json";
  return reach(at(path) + queryOf(options.query), {
    method: options.method ?? "GET",
    headers,
    credentials: "omit",
    ...(options.body !== undefined && { body: JSON.stringify(options.body) }),
    ...(options.signal && { signal: options.signal }),
  });
}

function queryOf(query: CallOptions["query"]): string {
  const parts = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {}))
    if (value !== null && value !== undefined && value !== "") parts.set(name, String(value));
  const text = parts.toString();
  return text ? `?${text}` : "";
}

function signedOut(): ApiError {
  return new ApiError(401, "token_expired", "");
}
