import type { ButtonHTMLAttributes, Ref } from "react";
import { cx } from "./cx";
import { Icon, type IconName } from "./icon";

type ButtonVariant = "primary" | "secondary" | "ghost" | "danger";

const VARIANT_CLASSES: Record<ButtonVariant, string> = {
  primary: "bg-accent text-on-accent hover:bg-accent-strong disabled:bg-hover disabled:text-ink-soft",
  secondary: "border border-line bg-raised hover:bg-hover disabled:text-ink-soft",
  ghost: "text-ink-soft hover:bg-hover hover:text-ink aria-expanded:bg-hover",
  danger: "border border-danger text-danger hover:bg-danger-soft disabled:border-line disabled:text-ink-soft",
};

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  variant?: ButtonVariant;
  icon?: IconName;
  small?: boolean;
  /** The action is running: the button is disabled and marked `aria-busy`. */
  busy?: boolean;
  ref?: Ref<HTMLButtonElement>;
}

export function Button({
  variant = "secondary",
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
        VARIANT_CLASSES[variant],
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
  variant?: ButtonVariant;
  ref?: Ref<HTMLButtonElement>;
}

/** A button with an icon; its label is the tooltip and the accessible name. */
export function IconButton({ icon, label, variant = "ghost", className, ...rest }: IconButtonProps) {
  return (
    <button
      type="button"
      title={label}
      aria-label={label}
      {...rest}
      className={cx(
        "inline-flex size-8 shrink-0 items-center justify-center rounded-sm disabled:opacity-40",
        VARIANT_CLASSES[variant],
        className,
      )}
    >
      <Icon name={icon} />
    </button>
  );
}
