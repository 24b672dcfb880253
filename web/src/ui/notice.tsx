import type { ReactNode } from "react";
import { cx } from "./cx";
import { Icon } from "./icon";

type NoticeKind = "info" | "warning" | "danger";

const KIND_CLASSES: Record<NoticeKind, string> = {
  info: "bg-panel border-line",
  warning: "bg-warning-soft border-transparent text-warning",
  danger: "bg-danger-soft border-transparent text-danger",
};

export function Notice({ kind = "info", children }: { kind?: NoticeKind; children: ReactNode }) {
  return (
    <div
      role={kind === "danger" ? "alert" : undefined}
      className={cx("flex gap-2.5 rounded-sm border px-3 py-2.5 text-sm", KIND_CLASSES[kind])}
    >
      <span className="mt-0.5">
        <Icon name={kind === "info" ? "info" : "warning"} />
      </span>
      <div className="min-w-0 flex-1">{children}</div>
    </div>
  );
}
