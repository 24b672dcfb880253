import { ApiError, UNREACHABLE } from "./errors";

/** `fetch` that reports a network failure as an `ApiError`; an abort stays an `AbortError`. */
export async function fetchOrApiError(url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, UNREACHABLE, "");
  }
}
