import { useTranslation } from "react-i18next";
import { ApiError, errorMessage, UNEXPECTED_RESPONSE } from "../api/errors";
import { Button } from "./button";
import { Notice } from "./notice";
import { RequestId } from "./request-id";

/** An error's message, with a retry button and, for server errors, the request id. */
export function ErrorNotice({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const { t } = useTranslation();
  const requestId = error instanceof ApiError && isServerError(error) ? error.requestId : null;
  return (
    <Notice kind="danger">
      <p>{errorMessage(error)}</p>
      {requestId && <RequestId id={requestId} />}
      {onRetry && (
        <Button small className="mt-2 text-ink" onClick={onRetry}>
          {t("common.retry")}
        </Button>
      )}
    </Notice>
  );
}

/** Unlike a client error, such as a wrong password, it has to be looked up in the gateway's log. */
function isServerError({ status, code }: ApiError): boolean {
  return status === 0 || status >= 500 || code === UNEXPECTED_RESPONSE;
}
