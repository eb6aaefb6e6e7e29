/**
 * The timeline of a run: a row for each step, bars on one scale, zoom, keyboard, live.
 *
 * Which rows are open and what is in view are its own; the selected step belongs to the address.
 */
import { useSignal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useMemo, useRef } from "preact/hooks";
import type { Microseconds, Run, Step } from "../shapes";
import { AxisLabels } from "./axis";
import type { Frame } from "./bars";
import { Body } from "./body";
import { useCtrlWheel, useScale } from "./hooks";
import { Legend } from "./legend";
import { Patterns } from "./patterns";
import { rowsOf, type Row } from "./rows";
import { WHOLE, type View } from "./scale";
import { Tooltip, type Hovered } from "./tooltip";
import { useWidth } from "./window";
import { ZoomTools } from "./zoom_tools";

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
  const outer = useRef<HTMLDivElement>(null);
  const total = useWidth(outer);
  const isNarrow = total < NARROW;
  const height = isNarrow ? NARROW_ROW : WIDE_ROW;
  const names = isNarrow ? 0 : total < MIDDLE ? 220 : 290;
  const width = Math.max(total - names - 16, 40);
  const rows = useMemo(() => rowsOf(run, toggled.value), [run, toggled.value]);
  const scale = useScale(props.whole ?? run, now, props.end, isSkipping.value);
  const frame: Frame = { scale: scale.current, view: view.value, width, now: props.line ?? now };
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
  return (
    <div class={`timeline ${isNarrow ? "narrow" : total < MIDDLE ? "middle" : ""}`} ref={outer}>
      <Patterns />
      <div class="tl-tools">
        <ZoomTools
          view={view.value}
          onView={setView}
          isSkipping={isSkipping.value}
          canSkip={scale.canSkip}
          onSkipping={(next) => (isSkipping.value = next)}
        />
        <Legend />
        {props.tools}
      </div>
      <div class="tl-head">
        <AxisLabels frame={frame} origin={origin} line={line} />
      </div>
      <Body
        {...props}
        rows={rows}
        frame={frame}
        height={height}
        isNarrow={isNarrow}
        line={line}
        view={view}
        hovered={hovered}
        onToggle={toggle}
      />
      {hovered.value && <Tooltip hovered={hovered.value} origin={origin} now={now} />}
    </div>
  );
}
