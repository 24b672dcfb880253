import type { ReactNode } from "react";
import { cx } from "./cx";

export interface Column<Row> {
  key: string;
  title: string;
  cell: (row: Row) => ReactNode;
  /** Numbers stand at the right, figure under figure. */
  numeric?: boolean;
}

interface TableProps<Row> {
  caption: string;
  columns: Column<Row>[];
  rows: Row[];
  rowKey: (row: Row) => string;
  /** The caption is heard alone where a heading says it already. */
  showCaption?: boolean;
}

/** A table that scrolls by itself where the page is narrow. */
export function Table<Row>({ caption, columns, rows, rowKey, showCaption }: TableProps<Row>) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls has to be reached by keyboard.
    <section className="panel overflow-x-auto" aria-label={caption} tabIndex={0}>
      <table className="w-full border-collapse text-sm wrap-break-word">
        <caption className={showCaption ? "px-3 py-2 text-left font-medium" : "unseen"}>{caption}</caption>
        <thead>
          <tr className="border-b border-line">
            {columns.map((column) => (
              <th
                key={column.key}
                scope="col"
                className={cx(
                  "px-3 py-2 font-medium whitespace-nowrap text-ink-soft",
                  column.numeric ? "text-right" : "text-left",
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
                <Cell key={column.key} numeric={column.numeric ?? false}>
                  {column.cell(row)}
                </Cell>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** Texts up to this length (a time, a name) stay on one line. */
const SHORT = 24;

function Cell({ numeric, children }: { numeric: boolean; children: ReactNode }) {
  const short = typeof children === "string" && children.length <= SHORT;
  return (
    <td
      className={cx(
        "px-3 py-2 align-top",
        (numeric || short) && "whitespace-nowrap",
        numeric && "text-right tabular-nums",
      )}
    >
      {children}
    </td>
  );
}
