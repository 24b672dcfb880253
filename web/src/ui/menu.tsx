import * as Ariakit from "@ariakit/react";
import type { ReactNode } from "react";
import { cx } from "./cx";
import { Icon, type IconName } from "./icon";

interface MenuProps {
  label: string;
  /** Content of the button; three dots by default. */
  button?: ReactNode;
  className?: string;
  children: ReactNode;
}

export function Menu({ label, button, className, children }: MenuProps) {
  return (
    <Ariakit.MenuProvider placement="bottom-start">
      <Ariakit.MenuButton
        aria-label={button ? undefined : label}
        title={button ? undefined : label}
        className={cx(
          "inline-flex min-h-8 shrink-0 items-center justify-center gap-2 rounded-sm text-ink-soft hover:bg-hover",
          "hover:text-ink aria-expanded:bg-hover",
          button ? "px-2.5 text-sm" : "size-8",
          className,
        )}
      >
        {button ?? <Icon name="more" />}
      </Ariakit.MenuButton>
      <Ariakit.Menu
        portal
        fixed
        gutter={4}
        aria-label={label}
        className="floating z-40 max-h-(--popover-available-height) min-w-48 overflow-auto text-sm"
      >
        {children}
      </Ariakit.Menu>
    </Ariakit.MenuProvider>
  );
}

const ITEM_CLASS = "flex min-h-9 items-center gap-2.5 rounded-sm px-2.5 py-1.5 data-active-item:bg-hover";

interface MenuItemProps {
  icon?: IconName;
  danger?: boolean;
  onClick: () => void;
  children: ReactNode;
}

export function MenuItem({ icon, danger, onClick, children }: MenuItemProps) {
  return (
    <Ariakit.MenuItem onClick={onClick} className={cx(ITEM_CLASS, danger && "text-danger")}>
      {icon && <Icon name={icon} />}
      {children}
    </Ariakit.MenuItem>
  );
}

interface MenuRadioGroupProps<T extends string> {
  label: string;
  value: T;
  options: Record<T, string>;
  onChange: (value: T) => void;
}

/** A group of radio items inside a menu. */
export function MenuRadioGroup<T extends string>({
  label,
  value,
  options,
  onChange,
}: MenuRadioGroupProps<T>) {
  return (
    <Ariakit.MenuGroup>
      <Ariakit.MenuGroupLabel className="px-2.5 pt-2 pb-1 text-xs text-ink-soft">
        {label}
      </Ariakit.MenuGroupLabel>
      {(Object.keys(options) as T[]).map((option) => (
        <Ariakit.MenuItem
          key={option}
          role="menuitemradio"
          aria-checked={option === value}
          hideOnClick={false}
          onClick={() => onChange(option)}
          className={ITEM_CLASS}
        >
          <span className="w-4.5">{option === value && <Icon name="check" />}</span>
          {options[option]}
        </Ariakit.MenuItem>
      ))}
    </Ariakit.MenuGroup>
  );
}

export function MenuSeparator() {
  return <Ariakit.MenuSeparator className="my-1 border-line" />;
}
