import type { ButtonHTMLAttributes, Ref } from "react";
import { cx } from "./cx";
import { Icon, type IconName } from "./icon";

type Kind = "primary" | "plain" | "quiet" | "danger";

const KINDS: Record<Kind, string> = {
  primary: "bg-accent text-on-accent hover:bg-accent-strong disabled:bg-hover disabled:text-ink-soft",
  plain: "border border-line bg-raised hover:bg-hover disabled:text-ink-soft",
  quiet: "text-ink-soft hover:bg-hover hover:text-ink aria-expanded:bg-hover",
  danger: "border border-danger text-danger hover:bg-danger-soft disabled:border-line disabled:text-ink-soft",
};

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  kind?: Kind;
  icon?: IconName;
  small?: boolean;
  /** Under way: it cannot be pressed again, and says so. */
  busy?: boolean;
  ref?: Ref<HTMLButtonElement>;
}

export function Button({
  kind = "plain",
  icon,
  small,
  busy,
  className,
  children,
  disabled,
  ...rest
}: ButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      disabled={disabled || busy}
      aria-busy={busy || undefined}
      className={cx(
        "inline-flex items-center justify-center gap-2 rounded-sm font-medium whitespace-nowrap",
        small ? "min-h-8 px-2.5 text-sm" : "min-h-10 px-4 text-sm",
        KINDS[kind],
        className,
      )}
    >
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
}

interface IconButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  icon: IconName;
  label: string;
  kind?: Kind;
  ref?: Ref<HTMLButtonElement>;
}

/** A button whose name is for screen readers and the tooltip. */
export function IconButton({ icon, label, kind = "quiet", className, ...rest }: IconButtonProps) {
  return (
    <button
      type="button"
      title={label}
      aria-label={label}
      {...rest}
      className={cx(
        "inline-flex size-8 shrink-0 items-center justify-center rounded-sm disabled:opacity-40",
        KINDS[kind],
        className,
      )}
    >
      <Icon name={icon} />
    </button>
  );
}
