/** Lines and labels of time behind the rows, what is skipped, and where "now" is. */
import type { JSX } from "preact";
import type { Microseconds } from "../shapes";
import { offsetText, pixel, ticksOf, type Tick } from "./scale";
import type { Frame } from "./bars";

export interface AxisProps {
  readonly frame: Frame;
  readonly origin: Microseconds;
  /** A line at this time: of a run that goes on, or the turn that one travels to. */
  readonly line: Microseconds | null;
}

export function AxisLabels({ frame, origin, line }: AxisProps): JSX.Element {
  const skips = skipsOf(frame);
  const ticks = ticksOf(frame.scale, frame.view, frame.width, origin).filter((tick) => isFree(tick, skips));
  return (
    <svg class="tl-axis" width={frame.width} height="26" aria-hidden="true">
      {ticks.map((tick) => (
        <text
          key={tick.offset}
          x={labelX(tick, frame.width)}
          y="17"
          class="tl-label"
          text-anchor={anchorOf(tick, frame.width)}
        >
          {offsetText(tick.offset)}
        </text>
      ))}
      {skips.map((skip) => (
        <text key={skip.x} x={skip.x + skip.width / 2} y="17" class="tl-label tl-skip-label" text-anchor="middle">
          {skipText(skip)}
        </text>
      ))}
      {line !== null && (
        <path d={`M${pixel(frame.scale, frame.view, frame.width, line)} 26l-4-6h8z`} class="tl-now-head" />
      )}
    </svg>
  );
}

const CHARACTER = 6.2;
const BETWEEN = 10;

/** Whether a tick's label has room beside those of what is skipped. */
function isFree(tick: Tick, skips: readonly Skip[]): boolean {
  return skips.every((skip) => {
    const length = offsetText(tick.offset).length + skipText(skip).length;
    return Math.abs(tick.x - skip.x - skip.width / 2) > (length * CHARACTER) / 2 + BETWEEN;
  });
}

function skipText(skip: Skip): string {
  return skip.width > 54 ? offsetText(skip.length) : "⋯";
}

function labelX(tick: Tick, width: number): number {
  return Math.min(Math.max(tick.x, 2), width - 2);
}

function anchorOf(tick: Tick, width: number): "start" | "middle" | "end" {
  if (tick.x < 24) return "start";
  return tick.x > width - 24 ? "end" : "middle";
}

export function AxisLines({ frame, origin, line, height }: AxisProps & { readonly height: number }): JSX.Element {
  const now = line === null ? null : pixel(frame.scale, frame.view, frame.width, line);
  return (
    <svg class="tl-lines" width={frame.width} height={height} aria-hidden="true">
      {skipsOf(frame).map((skip) => (
        <rect key={skip.x} x={skip.x} y="0" width={skip.width} height={height} class="tl-skip" />
      ))}
      {ticksOf(frame.scale, frame.view, frame.width, origin).map((tick) => (
        <line key={tick.offset} x1={tick.x} x2={tick.x} y1="0" y2={height} class="tl-line" />
      ))}
      {now !== null && now >= 0 && now <= frame.width && <line x1={now} x2={now} y1="0" y2={height} class="tl-now" />}
    </svg>
  );
}

/** Lies over the bars of a row: they are cut where time is skipped. */
export function Cuts({ frame, height }: { readonly frame: Frame; readonly height: number }): JSX.Element {
  return (
    <>
      {skipsOf(frame).map((skip) => {
        const path = zigzag(skip.x + skip.width / 2, height);
        return (
          <g key={skip.x}>
            <path d={path} class="tl-cut" />
            <path d={path} class="tl-cut-line" />
          </g>
        );
      })}
    </>
  );
}

const TOOTH = 5;

function zigzag(x: number, height: number): string {
  const teeth = Math.ceil(height / (2 * TOOTH));
  return `M${x - 2} 0${`l4 ${TOOTH}l-4 ${TOOTH}`.repeat(teeth)}`;
}

interface Skip {
  readonly x: number;
  readonly width: number;
  readonly length: Microseconds;
}

function skipsOf({ scale, view, width }: Frame): Skip[] {
  return scale.stretches
    .filter((one) => one.isSkipped && one.end > view.start && one.start < view.end)
    .map((one) => {
      const x = ((one.start - view.start) / (view.end - view.start)) * width;
      const end = ((one.end - view.start) / (view.end - view.start)) * width;
      return { x, width: end - x, length: Math.round((one.to - one.from) / 1e6) * 1e6 };
    });
}
