/** The gateway's errors and their messages in the user's language. */
import i18next from "i18next";

export interface ErrorResponse {
  error: { type: string; code: string; message: string; param?: string | null; request_id?: string };
}

interface ErrorDetails {
  param?: string | null;
  requestId?: string | null;
  retryAfter?: number | null;
}

/** An error response of the gateway; `status` is 0 if the gateway could not be reached. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly param: string | null;
  readonly requestId: string | null;
  /** Seconds to wait before a retry, if the gateway sent `Retry-After`. */
  readonly retryAfter: number | null;

  constructor(status: number, code: string, message: string, details: ErrorDetails = {}) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.param = details.param ?? null;
    this.requestId = details.requestId ?? null;
    this.retryAfter = details.retryAfter ?? null;
  }
}

/** Code of a request that got no response. */
export const UNREACHABLE = "unreachable";
/** Code of a response that is not the gateway's, for example a proxy's error page. */
export const UNEXPECTED_RESPONSE = "unexpected_response";

const VALIDATION_CODES = new Set(["validation_failed", "invalid_request"]);

/** Parses an error response; a body in another format becomes `UNEXPECTED_RESPONSE`. */
export async function errorFromResponse(response: Response): Promise<ApiError> {
  const requestId = response.headers.get("x-request-id");
  const retryAfterHeader = Number(response.headers.get("retry-after"));
  const retryAfter = Number.isFinite(retryAfterHeader) && retryAfterHeader > 0 ? retryAfterHeader : null;
  try {
    const { error } = (await response.json()) as ErrorResponse;
    if (typeof error.code === "string")
      return new ApiError(response.status, error.code, error.message, {
        param: error.param ?? null,
        requestId: error.request_id ?? requestId,
        retryAfter,
      });
  } catch {
    // The body is not JSON, or not in the gateway's format.
  }
  return new ApiError(response.status, UNEXPECTED_RESPONSE, response.statusText, { requestId, retryAfter });
}

/** A message for the user: translated by code if the code is known, else the gateway's own. */
export function errorMessage(error: unknown): string {
  if (!(error instanceof ApiError)) return i18next.t("errors.unknown");
  return errorCodeMessage(error.code, localizedMessage(error), error.retryAfter);
}

export function errorCodeMessage(code: string, fallback: string, retryAfter: number | null = null): string {
  const key = `errors.codes.${code}`;
  const text = i18next.exists(key)
    ? i18next.t(key as "errors.unknown")
    : fallback || i18next.t("errors.unknown");
  return retryAfter === null
    ? text
    : `${text} ${i18next.t("errors.retryAfter", { count: Math.ceil(retryAfter) })}`;
}

/** The gateway's English message; in other languages, validation errors get a translation by field. */
function localizedMessage({ code, message, param }: ApiError): string {
  if (i18next.resolvedLanguage === "en" || !VALIDATION_CODES.has(code)) return message;
  const key = `errors.fields.${param?.split(".").at(-1) ?? ""}`;
  return i18next.exists(key) ? i18next.t(key as "errors.unknown") : i18next.t("errors.invalid", { param });
}
