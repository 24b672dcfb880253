import * as Ariakit from "@ariakit/react";
import type { ReactNode } from "react";
import { cx } from "./cx";
import { Icon, type IconName } from "./icon";

interface MenuProps {
  label: string;
  /** What the button shows; without it, three dots. */
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

const ITEM = "flex min-h-9 items-center gap-2.5 rounded-sm px-2.5 py-1.5 data-active-item:bg-hover";

interface ItemProps {
  icon?: IconName;
  danger?: boolean;
  onClick: () => void;
  children: ReactNode;
}

export function MenuItem({ icon, danger, onClick, children }: ItemProps) {
  return (
    <Ariakit.MenuItem onClick={onClick} className={cx(ITEM, danger && "text-danger")}>
      {icon && <Icon name={icon} />}
      {children}
    </Ariakit.MenuItem>
  );
}

interface ChoiceProps<T extends string> {
  label: string;
  value: T;
  choices: Record<T, string>;
  onChoose: (value: T) => void;
}

/** One of a few, inside a menu. */
export function MenuChoice<T extends string>({ label, value, choices, onChoose }: ChoiceProps<T>) {
  return (
    <Ariakit.MenuGroup>
      <Ariakit.MenuGroupLabel className="px-2.5 pt-2 pb-1 text-xs text-ink-soft">
        {label}
      </Ariakit.MenuGroupLabel>
      {(Object.keys(choices) as T[]).map((one) => (
        <Ariakit.MenuItem
          key={one}
          role="menuitemradio"
          aria-checked={one === value}
          hideOnClick={false}
          onClick={() => onChoose(one)}
          className={ITEM}
        >
          <span className="w-4.5">{one === value && <Icon name="check" />}</span>
          {choices[one]}
        </Ariakit.MenuItem>
      ))}
    </Ariakit.MenuGroup>
  );
}

export function MenuLine() {
  return <Ariakit.MenuSeparator className="my-1 border-line" />;
}
