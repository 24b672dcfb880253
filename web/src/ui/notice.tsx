import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { ApiError, sayError } from "../api/errors";
import { Button } from "./button";
import { cx } from "./cx";
import { Icon, type IconName } from "./icon";
import { RequestId } from "./request-id";

type Kind = "info" | "warning" | "danger";

const KINDS: Record<Kind, string> = {
  info: "bg-panel border-line",
  warning: "bg-warning-soft border-transparent text-warning",
  danger: "bg-danger-soft border-transparent text-danger",
};

export function Notice({ kind = "info", children }: { kind?: Kind; children: ReactNode }) {
  return (
    <div
      role={kind === "danger" ? "alert" : undefined}
      className={cx("flex gap-2.5 rounded-sm border px-3 py-2.5 text-sm", KINDS[kind])}
    >
      <span className="mt-0.5">
        <Icon name={kind === "info" ? "info" : "warning"} />
      </span>
      <div className="min-w-0 flex-1">{children}</div>
    </div>
  );
}

/** What went wrong, what to do, and the request's id for whoever reads the log. */
export function ErrorNotice({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const { t } = useTranslation();
  const id = error instanceof ApiError ? error.requestId : null;
  return (
    <Notice kind="danger">
      <p>{sayError(error)}</p>
      {id && worthTelling(error) && <RequestId id={id} />}
      {onRetry && (
        <Button small className="mt-2 text-ink" onClick={onRetry}>
          {t("common.retry")}
        </Button>
      )}
    </Notice>
  );
}

/** Not of what its sender can put right, such as a wrong password. */
function worthTelling(error: unknown): boolean {
  return (
    error instanceof ApiError && (error.status === 0 || error.status >= 500 || error.code === "bad_answer")
  );
}

interface EmptyProps {
  icon: IconName;
  title: string;
  /** It is all that the page has. */
  page?: boolean;
  children?: ReactNode;
}

/** A place where there is nothing yet, and what to do about it. */
export function Empty({ icon, title, page, children }: EmptyProps) {
  const Title = page ? "h1" : "p";
  return (
    <div className="flex flex-col items-center gap-2 px-4 py-10 text-center">
      <span className="text-ink-soft">
        <Icon name={icon} size={28} />
      </span>
      <Title className="font-medium">{title}</Title>
      {children && <div className="max-w-md text-sm text-ink-soft">{children}</div>}
    </div>
  );
}

export function Loading() {
  const { t } = useTranslation();
  return (
    <p role="status" className="px-4 py-10 text-center text-sm text-ink-soft">
      {t("common.loading")}
    </p>
  );
}
