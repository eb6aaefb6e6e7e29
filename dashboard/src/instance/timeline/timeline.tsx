/**
 * The timeline of a run: a row for each step, bars on one scale, zoom, keyboard, live.
 *
 * Which rows are open and what is in view are its own; the selected step belongs to the address.
 */
import { useSignal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import type { Microseconds, Run, Step } from "../shapes";
import { AxisLabels, AxisLines } from "./axis";
import type { Frame } from "./bars";
import { Legend } from "./legend";
import { Patterns } from "./patterns";
import { RowView } from "./row";
import { allSteps, isOpen, rowsOf, type Row } from "./rows";
import { evenScale, panned, roomyEnd, skippingScale, WHOLE, zoomed, type Scale, type View } from "./scale";
import { marksOf } from "./segments";
import { Tooltip, type Hovered } from "./tooltip";
import { ZoomTools } from "./zoom_tools";
import { DRAWN_WHOLE, useWidth, useWindow } from "./window";

export interface TimelineProps {
  readonly run: Run;
  readonly now: Microseconds;
  /** Times up to here are drawn, when that is known better than by the run: for time travel. */
  readonly end?: Microseconds | undefined;
  /** What the scale is made for, when that is more than what is drawn. */
  readonly whole?: Run | undefined;
  /** A line at this time, instead of "now". */
  readonly line?: Microseconds | undefined;
  readonly selected: string | null;
  readonly onSelect?: ((path: string, step: Step, owner: string) => void) | undefined;
  /** A child was opened whose steps were not read. */
  readonly onDeeper?: (() => void) | undefined;
  readonly label: string;
  /** More buttons beside those for zoom. */
  readonly tools?: ComponentChildren;
}

const WIDE_ROW = 30;
const NARROW_ROW = 44;
/** Below these widths names have less room, or stand above their bars; the style sheet has them too. */
const MIDDLE = 800;
const NARROW = 540;

export function Timeline(props: TimelineProps): JSX.Element {
  const { run, now } = props;
  const toggled = useSignal<ReadonlySet<string>>(new Set());
  const view = useSignal<View>(WHOLE);
  const isSkipping = useSignal(true);
  const hovered = useSignal<Hovered | null>(null);
  const entry = useSignal<string | null>(null);
  const body = useRef<HTMLDivElement>(null);
  const outer = useRef<HTMLDivElement>(null);
  const total = useWidth(outer);
  const isNarrow = total < NARROW;
  const height = isNarrow ? NARROW_ROW : WIDE_ROW;
  const names = isNarrow ? 0 : total < MIDDLE ? 220 : 290;
  const width = Math.max(total - names - 16, 40);
  const rows = useMemo(() => rowsOf(run, toggled.value), [run, toggled.value]);
  const scale = useScale(props.whole ?? run, now, props.end, isSkipping.value);
  const frame: Frame = { scale: scale.current, view: view.value, width, now: props.line ?? now };
  const { first, last } = useWindow(body, rows.length, height);
  const origin = run.record.createdAt;
  const line = props.line ?? (run.record.completedAt == null ? now : null);
  const setView = (next: View): void => void (view.value = next);
  useCtrlWheel(outer, names, width, view, setView);
  const toggle = (row: Row): void => {
    const next = new Set(toggled.value);
    if (!next.delete(row.path)) next.add(row.path);
    toggled.value = next;
    if (row.type === "step" && !row.isExpanded && row.isExpandable && !row.step.run) props.onDeeper?.();
  };
  const choose = (row: Row): void => {
    if (row.type === "group") toggle(row);
    else props.onSelect?.(row.path, row.step, row.owner);
  };
  const rowOf = (event: Event): Row | undefined => {
    const element = (event.target as Element).closest<HTMLElement>("[data-path]");
    return rows.find((row) => row.path === element?.dataset["path"]);
  };
  return (
    <div class={`timeline ${isNarrow ? "narrow" : total < MIDDLE ? "middle" : ""}`} ref={outer}>
      <Patterns />
      <div class="tl-tools">
        <ZoomTools view={view.value} onView={setView} isSkipping={isSkipping.value} canSkip={scale.canSkip} onSkipping={(next) => (isSkipping.value = next)} />
        <Legend />
        {props.tools}
      </div>
      <div class="tl-head">
        <AxisLabels frame={frame} origin={origin} line={line} />
      </div>
      <div
        ref={body}
        role="treegrid"
        aria-label={props.label}
        aria-rowcount={rows.length}
        class={`tl-body ${rows.length > DRAWN_WHOLE ? "scrolled" : ""}`}
        onClick={(event) => {
          const row = rowOf(event);
          if (!row) return;
          entry.value = row.path;
          if ((event.target as Element).closest("[data-fold]")) toggle(row);
          else choose(row);
        }}
        onPointerMove={(event) => {
          const row = rowOf(event);
          const isOverBars = (event.target as Element).closest(".tl-bars") !== null;
          const isShown = row?.type === "step" && isOverBars && event.pointerType === "mouse";
          hovered.value = isShown ? { step: row.step, x: event.clientX, y: event.clientY } : null;
        }}
        onPointerLeave={() => (hovered.value = null)}
        onFocusIn={(event) => {
          const row = rowOf(event);
          if (!row) return;
          entry.value = row.path;
          const isByKeys = (event.target as Element).matches(":focus-visible");
          const place = (event.target as Element).getBoundingClientRect();
          if (row.type === "step" && isByKeys) hovered.value = { step: row.step, x: place.left + 280, y: place.bottom - 10 };
        }}
        onFocusOut={() => (hovered.value = null)}
        onKeyDown={(event) => onKey(event, rows, rowOf(event), { toggle, choose, view: view.value, setView, body: body.current, height })}
      >
        <div class="tl-space" role="rowgroup" style={{ height: `${rows.length * height}px` }}>
          <AxisLines frame={frame} origin={origin} line={line} height={rows.length * height} />
          {rows.slice(first, last).map((row, at) => (
            <RowView
              key={row.path}
              row={row}
              index={first + at}
              frame={frame}
              height={height}
              isNarrow={isNarrow}
              isSelected={row.path === props.selected}
              isEntry={row.path === (entry.value ?? rows[0]?.path)}
            />
          ))}
        </div>
      </div>
      {hovered.value && <Tooltip hovered={hovered.value} origin={origin} now={now} />}
    </div>
  );
}

interface KnownScale {
  readonly current: Scale;
  /** Whether skipping changes anything. */
  readonly canSkip: boolean;
}

const ROOM = 0.02;

function useScale(run: Run, now: Microseconds, end: Microseconds | undefined, isSkipping: boolean): KnownScale {
  const marks = useMemo(() => [...allSteps(run)].flatMap(marksOf), [run]);
  const origin = run.record.createdAt;
  const isOver = run.record.completedAt != null && !(run.steps ?? []).some(isOpen);
  const last = end ?? (isOver ? Math.max(run.record.completedAt ?? 0, ...lastOf(marks)) : now);
  return useMemo(() => {
    const skipping = skippingScale(origin, last, marks);
    const canSkip = skipping.stretches.length > 1;
    if (isSkipping && canSkip) return { current: withRoom(skipping, isOver ? 0 : ROOM), canSkip };
    return { current: evenScale(origin, isOver || end !== undefined ? last : roomyEnd(origin, now)), canSkip };
  }, [marks, origin, last, isSkipping]);
}

/** A scale that leaves some room at its end. */
function withRoom(scale: Scale, room: number): Scale {
  const shrunk = (position: number): number => position * (1 - room);
  return { stretches: scale.stretches.map((one) => ({ ...one, start: shrunk(one.start), end: shrunk(one.end) })) };
}

function lastOf(marks: readonly Microseconds[]): Microseconds[] {
  return marks.length === 0 ? [] : [marks.reduce((one, other) => Math.max(one, other))];
}

function useCtrlWheel(
  outer: { readonly current: HTMLElement | null },
  names: number,
  width: number,
  view: { readonly value: View },
  setView: (view: View) => void,
): void {
  useEffect(() => {
    const element = outer.current;
    const onWheel = (event: WheelEvent): void => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const left = element!.getBoundingClientRect().left + names;
      const at = Math.min(Math.max((event.clientX - left) / width, 0), 1);
      setView(zoomed(view.value, event.deltaY > 0 ? 1.25 : 0.8, at));
    };
    // Not passive: the browser would zoom the whole page besides.
    element?.addEventListener("wheel", onWheel, { passive: false });
    return () => element?.removeEventListener("wheel", onWheel);
  }, [names, width]);
}

interface KeyTools {
  readonly toggle: (row: Row) => void;
  readonly choose: (row: Row) => void;
  readonly view: View;
  readonly setView: (view: View) => void;
  readonly body: HTMLElement | null;
  readonly height: number;
}

function onKey(event: KeyboardEvent, rows: readonly Row[], row: Row | undefined, tools: KeyTools): void {
  if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
  const at = rows.indexOf(row);
  const action = keyAction(event, rows, row, at, tools);
  if (!action) return;
  event.preventDefault();
  action();
}

function keyAction(event: KeyboardEvent, rows: readonly Row[], row: Row, at: number, tools: KeyTools): (() => void) | null {
  const isExpandable = row.type === "group" || row.isExpandable;
  const to = (index: number): (() => void) => () => focusRow(rows, index, tools);
  switch (event.key) {
    case "ArrowDown":
      return to(at + 1);
    case "ArrowUp":
      return to(at - 1);
    case "Home":
      return to(0);
    case "End":
      return to(rows.length - 1);
    case "ArrowRight":
      if (event.shiftKey) return () => tools.setView(panned(tools.view, 0.2));
      return isExpandable && !row.isExpanded ? () => tools.toggle(row) : null;
    case "ArrowLeft":
      if (event.shiftKey) return () => tools.setView(panned(tools.view, -0.2));
      return isExpandable && row.isExpanded ? () => tools.toggle(row) : to(parentOf(rows, at));
    case "Enter":
    case " ":
      return () => tools.choose(row);
    case "+":
    case "=":
      return () => tools.setView(zoomed(tools.view, 0.7));
    case "-":
      return () => tools.setView(zoomed(tools.view, 1.4));
    case "0":
      return () => tools.setView(WHOLE);
    default:
      return null;
  }
}

function parentOf(rows: readonly Row[], at: number): number {
  const depth = rows[at]?.depth ?? 0;
  for (let index = at; index >= 0; index--) if ((rows[index]?.depth ?? 0) < depth) return index;
  return at;
}

function focusRow(rows: readonly Row[], index: number, { body, height }: KeyTools): void {
  const row = rows[Math.min(Math.max(index, 0), rows.length - 1)];
  if (!row || !body) return;
  const at = rows.indexOf(row);
  if (body.scrollHeight > body.clientHeight + 1) {
    const top = at * height;
    if (top < body.scrollTop) body.scrollTop = top;
    else if (top + height > body.scrollTop + body.clientHeight) body.scrollTop = top + height - body.clientHeight;
  }
  // Twice a frame: rows that come into sight are drawn in the first.
  requestAnimationFrame(() =>
    requestAnimationFrame(() => {
      const element = body.querySelector<HTMLElement>(`[aria-rowindex="${at + 1}"]`);
      element?.scrollIntoView({ block: "nearest" });
      element?.focus({ preventScroll: true });
    }),
  );
}

