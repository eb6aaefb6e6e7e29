/** The rows of the timeline: which of them are drawn, and what mouse and keyboard do there. */
import { useSignal, type Signal } from "@preact/signals";
import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import type { Microseconds, Run, Step } from "../shapes";
import { AxisLines } from "./axis";
import type { Frame } from "./bars";
import { onKey } from "./keys";
import { RowView } from "./row";
import type { Row } from "./rows";
import type { View } from "./scale";
import type { Hovered } from "./tooltip";
import { DRAWN_WHOLE, useWindow } from "./window";

export interface BodyProps {
  readonly run: Run;
  readonly label: string;
  readonly rows: readonly Row[];
  readonly frame: Frame;
  /** Of a row. */
  readonly height: number;
  readonly isNarrow: boolean;
  readonly line: Microseconds | null;
  readonly view: Signal<View>;
  readonly hovered: Signal<Hovered | null>;
  readonly selected: string | null;
  readonly onToggle: (row: Row) => void;
  readonly onSelect?: ((path: string, step: Step, owner: string) => void) | undefined;
}

export function Body(props: BodyProps): JSX.Element {
  const { rows, frame, height, line, view, hovered } = props;
  const entry = useSignal<string | null>(null);
  const body = useRef<HTMLDivElement>(null);
  const { first, last } = useWindow(body, rows.length, height);
  const choose = (row: Row): void => {
    if (row.type === "group") props.onToggle(row);
    else props.onSelect?.(row.path, row.step, row.owner);
  };
  const entryPath = rows.some((row) => row.path === entry.value) ? entry.value : rows[0]?.path;
  const tools = { toggle: props.onToggle, choose, setView: (next: View) => void (view.value = next), height };
  return (
    <div
      ref={body}
      role="treegrid"
      aria-label={props.label}
      aria-rowcount={rows.length}
      class={`tl-body ${rows.length > DRAWN_WHOLE ? "scrolled" : ""}`}
      onClick={(event) => {
        const row = rowOf(rows, event);
        if (!row) return;
        entry.value = row.path;
        if (elementOf(event).closest("[data-fold]")) props.onToggle(row);
        else choose(row);
      }}
      onPointerMove={(event) => (hovered.value = pointedAt(rows, event))}
      onPointerLeave={() => (hovered.value = null)}
      onFocusIn={(event) => {
        entry.value = rowOf(rows, event)?.path ?? entry.value;
        hovered.value = focused(rows, event);
      }}
      onFocusOut={() => (hovered.value = null)}
      onKeyDown={(event) => onKey(event, rows, rowOf(rows, event), { ...tools, view: view.value, body: body.current })}
    >
      <div class="tl-space" role="rowgroup" style={{ height: `${rows.length * height}px` }}>
        <AxisLines frame={frame} origin={props.run.record.createdAt} line={line} height={rows.length * height} />
        {rows.slice(first, last).map((row, at) => (
          <RowView
            key={row.path}
            row={row}
            index={first + at}
            frame={frame}
            height={height}
            isNarrow={props.isNarrow}
            isSelected={row.path === props.selected}
            isEntry={row.path === entryPath}
          />
        ))}
      </div>
    </div>
  );
}

function elementOf(event: Event): Element {
  return event.target as Element;
}

function rowOf(rows: readonly Row[], event: Event): Row | undefined {
  const element = elementOf(event).closest<HTMLElement>("[data-path]");
  return rows.find((row) => row.path === element?.dataset["path"]);
}

/** Over its name a step is not told again: that would hide the rows below. */
function pointedAt(rows: readonly Row[], event: PointerEvent): Hovered | null {
  if (event.pointerType !== "mouse" || elementOf(event).closest(".tl-bars") === null) return null;
  const row = rowOf(rows, event);
  return row?.type === "step" ? { step: row.step, x: event.clientX, y: event.clientY } : null;
}

const BESIDE_NAME = 280;

function focused(rows: readonly Row[], event: FocusEvent): Hovered | null {
  const row = rowOf(rows, event);
  if (row?.type !== "step" || !elementOf(event).matches(":focus-visible")) return null;
  const place = elementOf(event).getBoundingClientRect();
  return { step: row.step, x: place.left + BESIDE_NAME, y: place.bottom - 10 };
}
