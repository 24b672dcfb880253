import type { ReactNode } from "react";
import { Icon, type IconName } from "./icon";

interface EmptyStateProps {
  icon: IconName;
  title: string;
  /** It is the whole page: the title is its level 1 heading. */
  page?: boolean;
  children?: ReactNode;
}

/** Shown in place of missing content, with what to do next. */
export function EmptyState({ icon, title, page, children }: EmptyStateProps) {
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
