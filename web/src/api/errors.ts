import i18next from "i18next";

/** What the gateway refused, in its own words; `status` 0 is a gateway that could not be reached. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly param: string | null;
  readonly requestId: string | null;
  /** Seconds after which it may be tried again, where that was said. */
  readonly retryAfter: number | null;

  constructor(
    status: number,
    code: string,
    message: string,
    more: { param?: string | null; requestId?: string | null; retryAfter?: number | null } = {},
  ) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.param = more.param ?? null;
    this.requestId = more.requestId ?? null;
    this.retryAfter = more.retryAfter ?? null;
  }
}

export const UNREACHABLE = "unreachable";

/** Reads the body of errors; whatever else came (a proxy's page, say) becomes `bad_answer`. */
export async function errorOf(response: Response): Promise<ApiError> {
  const requestId = response.headers.get("x-request-id");
  const wait = Number(response.headers.get("retry-after"));
  const retryAfter = Number.isFinite(wait) && wait > 0 ? wait : null;
  try {
    const { error } = (await response.json()) as ErrorBody;
    if (typeof error.code === "string")
      return new ApiError(response.status, error.code, error.message, {
        param: error.param ?? null,
        requestId: error.request_id ?? requestId,
        retryAfter,
      });
  } catch {
    // no JSON, or not this gateway's
  }
  return new ApiError(response.status, "bad_answer", response.statusText, { requestId, retryAfter });
}

export interface ErrorBody {
  error: { type: string; code: string; message: string; param?: string | null; request_id?: string };
}

/** A sentence for people: ours where we have one for the code, else the gateway's. */
export function sayError(error: unknown): string {
  if (!(error instanceof ApiError)) return i18next.t("errors.unknown");
  return sayCode(error.code, inWords(error), error.retryAfter);
}

/** What is wrong with a field: the gateway's own sentence in English, else ours for the field. */
function inWords({ code, message, param }: ApiError): string {
  if (i18next.resolvedLanguage === "en" || !VALIDATION.has(code)) return message;
  const key = `errors.fields.${param?.split(".").at(-1) ?? ""}`;
  return i18next.exists(key) ? i18next.t(key as "errors.unknown") : i18next.t("errors.invalid", { param });
}

const VALIDATION = new Set(["validation_failed", "invalid_request"]);

export function sayCode(code: string, message: string, retryAfter: number | null = null): string {
  const key = `errors.codes.${code}`;
  const said = i18next.exists(key)
    ? i18next.t(key as "errors.unknown")
    : message || i18next.t("errors.unknown");
  return retryAfter === null
    ? said
    : `${said} ${i18next.t("errors.retryAfter", { count: Math.ceil(retryAfter) })}`;
}
