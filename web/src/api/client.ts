/** Authenticated requests to the gateway's API. */
import { gatewayUrl } from "../lib/base-url";
import { accessToken, endSession, replaceToken } from "./access-token";
import { ApiError, errorFromResponse } from "./errors";
import { fetchOrApiError } from "./http";

export interface RequestOptions {
  method?: string;
  query?: Record<string, string | number | boolean | null | undefined>;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal | null;
}

/** A 401 with another code concerns the body, for example a password that confirms a change. */
const TOKEN_ERROR_CODES = new Set(["token_expired", "token_invalid", "token_reused"]);

/** Sends a request with the access token; retries once with a new token if the token was rejected. */
export async function request(path: string, options: RequestOptions = {}): Promise<Response> {
  const token = await accessToken();
  if (token === null) throw signedOutError();
  const response = await send(path, options, token);
  if (response.ok) return response;
  const error = await errorFromResponse(response);
  if (!TOKEN_ERROR_CODES.has(error.code)) throw error;
  const newToken = await replaceToken(token);
  if (newToken === null) throw signedOutError();
  const retried = await send(path, options, newToken);
  if (retried.ok) return retried;
  const retryError = await errorFromResponse(retried);
  if (TOKEN_ERROR_CODES.has(retryError.code)) endSession();
  throw retryError;
}

/** The JSON body of an authenticated request; undefined if the response has no body. */
export async function requestJson<T>(path: string, options: RequestOptions = {}): Promise<T> {
  return await parseBody<T>(await request(path, options));
}

/** The JSON body of a request that needs no sign-in. */
export async function requestPublicJson<T>(path: string, options: RequestOptions = {}): Promise<T> {
  const response = await send(path, options, null);
  if (!response.ok) throw await errorFromResponse(response);
  return await parseBody<T>(response);
}

async function parseBody<T>(response: Response): Promise<T> {
  return (response.status === 204 || response.status === 202 ? undefined : await response.json()) as T;
}

function send(path: string, options: RequestOptions, token: string | null): Promise<Response> {
  const headers: Record<string, string> = { ...options.headers };
  if (token !== null) headers.authorization = `Bearer ${token}`;
  if (options.body !== undefined) headers["content-type"] = "application/json";
  return fetchOrApiError(gatewayUrl(path) + queryString(options.query), {
    method: options.method ?? "GET",
    headers,
    credentials: "omit",
    ...(options.body !== undefined && { body: JSON.stringify(options.body) }),
    ...(options.signal && { signal: options.signal }),
  });
}

function queryString(query: RequestOptions["query"]): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {}))
    if (value !== null && value !== undefined && value !== "") params.set(name, String(value));
  const text = params.toString();
  return text ? `?${text}` : "";
}

function signedOutError(): ApiError {
  return new ApiError(401, "token_expired", "");
}
