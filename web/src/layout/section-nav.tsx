import { NavLink } from "react-router";
import { cx } from "../ui/cx";
import { Icon, type IconName } from "../ui/icon";

export interface NavItem {
  to: string;
  icon: IconName;
  label: string;
  /** Match this exact path only. */
  end?: boolean;
}

/** Links to the pages of one section of the console. */
export function SectionNav({ label, items }: { label: string; items: NavItem[] }) {
  return (
    <nav aria-label={label} className="flex h-full flex-col gap-0.5 overflow-y-auto p-2">
      {items.map((entry) => (
        <NavLink
          key={entry.to}
          to={entry.to}
          end={entry.end ?? false}
          className={({ isActive }) =>
            cx(
              "flex min-h-10 items-center gap-2.5 rounded-sm px-3 text-sm hover:bg-hover",
              isActive && "bg-hover font-medium",
            )
          }
        >
          <Icon name={entry.icon} />
          {entry.label}
        </NavLink>
      ))}
    </nav>
  );
}
