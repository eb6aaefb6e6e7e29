/** The bars and marks of one row, in pixels. */
import type { JSX } from "preact";
import type { Microseconds, Step } from "../shapes";
import { tallyOf } from "./rows";
import { isBeyond, pixel, type Scale, type View } from "./scale";
import { drawingOf, type Mark, type Segment } from "./segments";

/** What all rows of a timeline are drawn by. */
export interface Frame {
  readonly scale: Scale;
  readonly view: View;
  readonly width: number;
  /** Where bars that go on end. */
  readonly now: Microseconds;
}

const HEIGHT = 14;
const THIN = 6;
const NARROWEST = 3;

export function StepBars({ step, frame, top }: { step: Step; frame: Frame; top: number }): JSX.Element {
  const { segments, marks } = drawingOf(step);
  return (
    <>
      {segments.map((segment, index) => (
        <Bar key={index} segment={segment} frame={frame} top={top} />
      ))}
      {marks.map((mark, index) => (
        <MarkSign key={index} mark={mark} frame={frame} top={top} />
      ))}
    </>
  );
}

/** A group as one bar, with a line below it that says how much of it is done. */
export function GroupBars({ steps, frame, top }: { steps: readonly Step[]; frame: Frame; top: number }): JSX.Element {
  const from = Math.min(...steps.map((step) => step.begunAt));
  const to = Math.max(...steps.map((step) => step.endedAt ?? frame.now));
  const place = placeOf(frame, from, to);
  const tally = tallyOf(steps);
  if (place === null) return <Elsewhere frame={frame} at={from} top={top} />;
  const done = ((tally.completed + tally.failed + tally.canceled) / steps.length) * place.width;
  const outcome = tally.failed > 0 ? "failed" : tally.open > 0 ? "running" : "completed";
  return (
    <>
      <rect x={place.x} y={top - HEIGHT / 2} width={place.width} height={HEIGHT} rx="3" class="tl-group" />
      <rect
        x={place.x}
        y={top - HEIGHT / 2}
        width={Math.max(done, 0)}
        height={HEIGHT}
        rx="3"
        class={`tl-bar ${outcome}`}
      />
    </>
  );
}

function Bar({ segment, frame, top }: { segment: Segment; frame: Frame; top: number }): JSX.Element | null {
  const to = segment.to ?? Math.max(frame.now, segment.from);
  const place = placeOf(frame, segment.from, to);
  if (place === null) return <Elsewhere frame={frame} at={segment.from} top={top} />;
  const { x, width } = place;
  if (segment.kind === "pause") {
    return <line x1={x} x2={x + width} y1={top} y2={top} class="tl-pause" />;
  }
  const height = segment.kind === "wait" ? THIN : HEIGHT;
  const look = segment.kind === "wait" ? `wait ${segment.outcome}` : segment.outcome;
  return (
    <>
      <rect
        x={x}
        y={top - height / 2}
        width={width}
        height={height}
        rx={width < 8 ? 1 : height > THIN ? 3 : 2}
        class={`tl-bar ${look}`}
      />
      {segment.outcome === "failed" && width >= 14 && <path d={cross(x + width - 7, top)} class="tl-cross" />}
    </>
  );
}

function cross(x: number, y: number): string {
  return `M${x - 3} ${y - 3}l6 6m0-6l-6 6`;
}

/** What lies outside of the view is pointed at from its edge. */
function Elsewhere({ frame, at, top }: { frame: Frame; at: Microseconds; top: number }): JSX.Element {
  const isBefore = pixel(frame.scale, frame.view, frame.width, at) < 0;
  const d = isBefore ? `M8 ${top - 4}l-4 4l4 4` : `M${frame.width - 8} ${top - 4}l4 4l-4 4`;
  return <path d={d} class="tl-elsewhere" />;
}

function MarkSign({ mark, frame, top }: { mark: Mark; frame: Frame; top: number }): JSX.Element | null {
  const x = pixel(frame.scale, frame.view, frame.width, mark.at);
  if (isBeyond(frame.scale, mark.at))
    return <path d={`M${frame.width - 9} ${top - 4}l4 4l-4 4m4-8l4 4l-4 4`} class="tl-elsewhere" />;
  if (x < -1 || x > frame.width + 1) return null;
  switch (mark.kind) {
    case "due":
      return <path d={`M${x} ${top + 8}v-16h8l-2 3.5l2 3.5h-8`} class="tl-due" />;
    case "arrived":
      return <circle cx={x} cy={top} r="4.5" class="tl-arrived" />;
    case "sent":
      return <path d={`M${x} ${top - 5.5}l5.5 5.5l-5.5 5.5l-5.5-5.5z`} class="tl-sent" />;
  }
}

interface Place {
  readonly x: number;
  readonly width: number;
}

/** Cut off at the edges of the view, never too narrow to be seen; null when it is outside. */
function placeOf(frame: Frame, from: Microseconds, to: Microseconds): Place | null {
  const start = pixel(frame.scale, frame.view, frame.width, from);
  const end = pixel(frame.scale, frame.view, frame.width, to);
  if (end < 0 || start > frame.width) return null;
  const x = Math.min(Math.max(start, -4), frame.width - NARROWEST);
  return { x, width: Math.max(Math.min(end, frame.width + 4) - x, NARROWEST) };
}
