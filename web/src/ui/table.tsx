import type { ReactNode } from "react";
import { cx } from "./cx";

export interface Column<Row> {
  key: string;
  title: string;
  cell: (row: Row) => ReactNode;
  /** Numbers are right-aligned. */
  numeric?: boolean;
  /** Stays visible when the table is scrolled horizontally, for columns with actions. */
  sticky?: boolean;
}

interface TableProps<Row> {
  caption: string;
  columns: Column<Row>[];
  rows: Row[];
  rowKey: (row: Row) => string;
  /** Shows the caption; by default only screen readers read it, because a heading has the same text. */
  showCaption?: boolean;
  /** A footer row with totals: one cell per column. */
  footer?: ReactNode[];
}

/** A table that scrolls horizontally if it is too wide; on a phone each row is a card. */
export function Table<Row>({ caption, columns, rows, rowKey, showCaption, footer }: TableProps<Row>) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable region must be reachable by keyboard.
    <section className="panel overflow-x-auto" aria-label={caption} tabIndex={0}>
      <table className="cards w-full border-collapse text-sm wrap-break-word">
        <caption className={showCaption ? "px-3 py-2 text-left font-medium" : "sr-only"}>{caption}</caption>
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
        {footer && (
          <tfoot>
            <tr className="border-t border-line-strong font-medium">
              {columns.map((column, index) => (
                <Cell key={column.key} column={column}>
                  {footer[index]}
                </Cell>
              ))}
            </tr>
          </tfoot>
        )}
      </table>
    </section>
  );
}

/** Texts up to this length, such as times and names, are not wrapped. */
const NOWRAP_LENGTH = 24;

function Cell<Row>({ column, children }: { column: Column<Row>; children: ReactNode }) {
  const { numeric, sticky, title } = column;
  const isShort = typeof children === "string" && children.length <= NOWRAP_LENGTH;
  return (
    <td
      data-title={title}
      className={cx(
        "px-3 py-2 align-top",
        (numeric || isShort) && "whitespace-nowrap",
        numeric && "text-right tabular-nums",
        sticky && "sticky right-0 bg-raised",
      )}
    >
      <div className="min-w-0">{children}</div>
    </td>
  );
}

/** A text of any length, such as an email address, truncated to a maximum width. */
export function TruncatedCell({ text, mono, narrow }: { text: string; mono?: boolean; narrow?: boolean }) {
  return (
    <span
      title={text}
      className={cx(
        "inline-block truncate align-bottom",
        narrow ? "max-w-32" : "max-w-64",
        mono && "font-mono text-xs leading-5",
      )}
    >
      {text}
    </span>
  );
}
