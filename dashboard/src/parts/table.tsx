/** A table whose columns are data. On a narrow screen each row becomes a card, its cells named by their columns. */

import type { ComponentChildren, JSX } from "preact";

export interface Column<T> {
  readonly id: string;
  readonly label: string;
  /** What is counted or meant, where the label alone does not say it. */
  readonly title?: string;
  readonly cell: (row: T) => ComponentChildren;
  /** Numbers stand at the right. */
  readonly isNumber?: boolean;
  /** The column that gives way when there is little room, and is cut off with dots. */
  readonly isWide?: boolean;
  /** For a column of buttons: its label is for screen readers only. */
  readonly isLabelHidden?: boolean;
}

export interface TableProps<T> {
  /** What the table lists, for screen readers. */
  readonly label: string;
  readonly columns: readonly Column<T>[];
  readonly rows: readonly T[];
  readonly keyOf: (row: T) => string;
}

export function Table<T>({ label, columns, rows, keyOf }: TableProps<T>): JSX.Element {
  return (
    <div class="table-frame">
      <table class="table">
        <caption class="hidden">{label}</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.id} scope="col" class={column.isNumber ? "number" : ""} title={column.title}>
                {column.isLabelHidden ? <span class="hidden">{column.label}</span> : column.label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={keyOf(row)}>
              {columns.map((column) => (
                <td key={column.id} data-label={column.isLabelHidden ? "" : column.label} class={cellClass(column)}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function cellClass<T>(column: Column<T>): string {
  return `${column.isNumber ? "number" : ""} ${column.isWide ? "wide" : ""}`.trim();
}
