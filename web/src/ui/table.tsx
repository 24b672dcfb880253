import type { ReactNode } from "react";
import { cx } from "./cx";

export interface Column<Row> {
  key: string;
  title: string;
  cell: (row: Row) => ReactNode;
  /** Numbers stand at the right, figure under figure. */
  numeric?: boolean;
  /** Stays in sight when the table is scrolled sideways: what can be done with a row. */
  sticky?: boolean;
}

interface TableProps<Row> {
  caption: string;
  columns: Column<Row>[];
  rows: Row[];
  rowKey: (row: Row) => string;
  /** The caption is heard alone where a heading says it already. */
  showCaption?: boolean;
  /** Totals, a cell for each column. */
  foot?: ReactNode[];
}

/** A table that scrolls by itself where it is too wide, and whose rows are cards on a phone. */
export function Table<Row>({ caption, columns, rows, rowKey, showCaption, foot }: TableProps<Row>) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls has to be reached by keyboard.
    <section className="panel overflow-x-auto" aria-label={caption} tabIndex={0}>
      <table className="cards w-full border-collapse text-sm wrap-break-word">
        <caption className={showCaption ? "px-3 py-2 text-left font-medium" : "unseen"}>{caption}</caption>
        <thead>
          <tr className="border-b border-line">
            {columns.map((column) => (
              <th
                key={column.key}
                scope="col"
                className={cx(
                  "px-3 py-2 align-bottom font-medium text-ink-soft",
                  column.numeric ? "text-right" : "text-left",
                  column.sticky && "sticky right-0 bg-raised",
                )}
              >
                {column.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={rowKey(row)} className="border-b border-line last:border-0">
              {columns.map((column) => (
                <Cell key={column.key} column={column}>
                  {column.cell(row)}
                </Cell>
              ))}
            </tr>
          ))}
        </tbody>
        {foot && (
          <tfoot>
            <tr className="border-t border-line-strong font-medium">
              {columns.map((column, index) => (
                <Cell key={column.key} column={column}>
                  {foot[index]}
                </Cell>
              ))}
            </tr>
          </tfoot>
        )}
      </table>
    </section>
  );
}

/** Texts up to this length (a time, a name) stay on one line. */
const SHORT = 24;

function Cell<Row>({ column, children }: { column: Column<Row>; children: ReactNode }) {
  const { numeric, sticky, title } = column;
  const short = typeof children === "string" && children.length <= SHORT;
  return (
    <td
      data-title={title}
      className={cx(
        "px-3 py-2 align-top",
        (numeric || short) && "whitespace-nowrap",
        numeric && "text-right tabular-nums",
        sticky && "sticky right-0 bg-raised",
      )}
    >
      {/* One value beside its title where rows are cards. */}
      <div className="min-w-0">{children}</div>
    </td>
  );
}

/** A text that may be long, such as an address: cut where it would push other columns out of sight. */
export function Clip({ text, mono, short }: { text: string; mono?: boolean; short?: boolean }) {
  return (
    <span
      title={text}
      className={cx(
        "inline-block truncate align-bottom",
        short ? "max-w-32" : "max-w-64",
        mono && "font-mono text-xs leading-5",
      )}
    >
      {text}
    </span>
  );
}
