/**
 * A table of very many rows, of which only those that can be seen are in the document.
 *
 * It is a grid to screen readers, with the count of all rows. Its rows have one height, so that nothing moves.
 */

import { useSignal } from "@preact/signals";
import {
  elementScroll,
  observeElementOffset,
  observeElementRect,
  Virtualizer,
  type VirtualizerOptions,
} from "@tanstack/virtual-core";
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";

export interface VirtualColumn<T> {
  readonly id: string;
  readonly label: ComponentChildren;
  readonly cell: (row: T, index: number) => ComponentChildren;
  readonly isNumber?: boolean;
}

export interface VirtualTableProps<T> {
  readonly label: string;
  readonly columns: readonly VirtualColumn<T>[];
  readonly rows: readonly T[];
  readonly keyOf: (row: T) => string;
  /** Names the columns' widths in the style sheet: `.virtual.{look}`. */
  readonly look: string;
  /** Height of a row in pixels, as the style sheet has it too. */
  readonly rowHeight: number;
  /** How many rows there are, -1 while that is not known. */
  readonly total?: number;
  /** Called when the last rows come into sight. */
  readonly onEnd?: () => void;
  readonly onOpen?: (row: T) => void;
  readonly isMarked?: (row: T) => boolean;
  /** Keeps how far it was scrolled, for when it is shown again. */
  readonly place?: { scrolledTo: number };
  /** Stands below the last row. */
  readonly foot?: ComponentChildren;
}

const OVERSCAN = 8;
const NEAR_END = 20;

export function VirtualTable<T>(props: VirtualTableProps<T>): JSX.Element {
  const frame = useRef<HTMLDivElement>(null);
  const rows = props.rows;
  const virtual = useVirtualizer(frame, rows.length, props.rowHeight, (index) => props.keyOf(rows[index] as T));
  useLayoutEffect(() => {
    const element = frame.current;
    if (element && props.place) element.scrollTop = props.place.scrolledTo;
  }, []);
  const items = virtual.getVirtualItems();
  const last = items.at(-1)?.index ?? -1;
  useEffect(() => {
    if (last >= rows.length - NEAR_END) props.onEnd?.();
  }, [last, rows.length]);
  return (
    <div
      class={`virtual ${props.look}`}
      role="grid"
      aria-label={props.label}
      aria-rowcount={props.total ?? -1}
      onKeyDown={moveFocus}
    >
      <div role="rowgroup" class="virtual-head-group">
        <div class="virtual-row virtual-head" role="row">
          {props.columns.map((column) => (
            <div key={column.id} role="columnheader" class={cellClass(column)}>
              {column.label}
            </div>
          ))}
        </div>
      </div>
      <div
        ref={frame}
        class="virtual-frame"
        role="rowgroup"
        tabIndex={-1}
        onScroll={(event) => {
          if (props.place) props.place.scrolledTo = event.currentTarget.scrollTop;
        }}
      >
        <div class="virtual-space" role="presentation" style={{ height: `${virtual.getTotalSize()}px` }}>
          {items.map((item) => {
            const row = rows[item.index] as T;
            return (
              <div
                key={item.key}
                role="row"
                aria-rowindex={item.index + 2}
                class={`virtual-row ${props.isMarked?.(row) ? "marked" : ""}`}
                style={{ transform: `translateY(${item.start}px)` }}
                onDblClick={() => props.onOpen?.(row)}
              >
                {props.columns.map((column) => (
                  <div key={column.id} role="gridcell" class={cellClass(column)}>
                    {column.cell(row, item.index)}
                  </div>
                ))}
              </div>
            );
          })}
        </div>
        {props.foot}
      </div>
    </div>
  );
}

function cellClass<T>(column: VirtualColumn<T>): string {
  return `virtual-cell of-${column.id} ${column.isNumber ? "number" : ""}`.trim();
}

/** Arrow keys go from row to row, to the same kind of control. */
function moveFocus(event: KeyboardEvent): void {
  const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
  const target = event.target as HTMLElement;
  const cell = target.closest<HTMLElement>(".virtual-cell");
  const row = target.closest<HTMLElement>(".virtual-row:not(.virtual-head)");
  if (step === 0 || !cell || !row || target.tagName === "SELECT") return;
  const wanted = Number(row.ariaRowIndex) + step;
  const next = row.parentElement?.querySelector<HTMLElement>(`[aria-rowindex="${wanted}"]`);
  const at = [...row.children].indexOf(cell);
  const control = next?.children[at]?.querySelector<HTMLElement>("a, button, input");
  if (!control) return;
  event.preventDefault();
  control.focus();
}

function useVirtualizer(
  frame: { readonly current: HTMLDivElement | null },
  count: number,
  rowHeight: number,
  keyOf: (index: number) => string,
): Virtualizer<HTMLDivElement, HTMLDivElement> {
  const version = useSignal(0);
  version.value;
  const options: VirtualizerOptions<HTMLDivElement, HTMLDivElement> = {
    count,
    getScrollElement: () => frame.current,
    estimateSize: () => rowHeight,
    getItemKey: keyOf,
    overscan: OVERSCAN,
    scrollToFn: elementScroll,
    observeElementRect,
    observeElementOffset,
    onChange: () => {
      version.value += 1;
    },
  };
  const held = useRef<Virtualizer<HTMLDivElement, HTMLDivElement> | null>(null);
  held.current ??= new Virtualizer(options);
  held.current.setOptions(options);
  useLayoutEffect(() => held.current?._didMount(), []);
  useLayoutEffect(() => held.current?._willUpdate());
  return held.current;
}
