/**
 * Where a time stands on the timeline: pure arithmetic, no pixels are drawn here.
 *
 * Times map to a position from 0 to 1. With skipping, stretches in which nothing begins or ends are drawn short, so
 * that three days of waiting leave room for the seconds in which something was done. A view is the part of 0 to 1 that
 * is shown; zoom changes the view alone.
 */
import type { Microseconds } from "../shapes";

/** A part of the time line that has one scale. */
export interface Stretch {
  readonly from: Microseconds;
  readonly to: Microseconds;
  readonly start: number;
  readonly end: number;
  readonly isSkipped: boolean;
}

export interface Scale {
  readonly stretches: readonly Stretch[];
}

/** The part of a scale that is shown. */
export interface View {
  readonly start: number;
  readonly end: number;
}

export interface Tick {
  readonly x: number;
  /** Since the origin. */
  readonly offset: Microseconds;
}

export const WHOLE: View = { start: 0, end: 1 };

/** How much of the width all that is skipped takes, and one stretch at most. */
const SKIPPED_SHARE = 0.3;
const MOST_OF_ONE = 0.1;
const MARGIN_SHARE = 0.06;
const MOST_SKIPPED = 8;
/** Skipping is worth it when what is left is so many times shorter. */
const WORTH = 5;
/** After that, only a gap that dwarfs all else is skipped, too. */
const DWARFING = 0.85;
/** Shorter runs and gaps are drawn as they are: there is nothing to be saved, and a bar of moments is not cut. */
const SHORTEST_RUN = 10e6;
const SHORTEST_GAP = 5e6;
const SMALLEST_VIEW = 1e-7;

/** A scale on which equal times are equally long. */
export function evenScale(from: Microseconds, to: Microseconds): Scale {
  return { stretches: [{ from, to: Math.max(to, from + 1), start: 0, end: 1, isSkipped: false }] };
}

/**
 * A scale on which long stretches without any mark are short.
 *
 * @param marks Times at which something begins, ends or is due.
 */
export function skippingScale(from: Microseconds, to: Microseconds, marks: Iterable<Microseconds>): Scale {
  const skipped = longGaps(from, to, marks);
  const bounds = [from, ...skipped.flatMap((gap) => [gap.from, gap.to]), Math.max(to, from + 1)];
  const whole = bounds.at(-1)! - from;
  const busy = whole - skipped.reduce((sum, gap) => sum + gap.to - gap.from, 0);
  if (busy * WORTH > whole) return evenScale(from, to);
  const short = Math.min(SKIPPED_SHARE / skipped.length, MOST_OF_ONE);
  const share = 1 - short * skipped.length;
  const stretches: Stretch[] = [];
  let start = 0;
  for (let index = 0; index + 1 < bounds.length; index++) {
    const [begin, finish] = [bounds[index]!, bounds[index + 1]!];
    const isSkipped = index % 2 === 1;
    const length = isSkipped ? short : (share * (finish - begin)) / Math.max(busy, 1);
    if (finish > begin) stretches.push({ from: begin, to: finish, start, end: start + length, isSkipped });
    start += length;
  }
  return { stretches };
}

interface Gap {
  readonly from: Microseconds;
  readonly to: Microseconds;
}

/** As few of the longest gaps as make it worth while; given back in order of time. */
function longGaps(from: Microseconds, to: Microseconds, marks: Iterable<Microseconds>): Gap[] {
  if (to - from < SHORTEST_RUN) return [];
  const times = [...new Set([from, to, ...marks])].filter((time) => time >= from && time <= to).sort((a, b) => a - b);
  const gaps = times.slice(1).map((time, index) => ({ from: times[index]!, to: time }));
  gaps.sort((a, b) => b.to - b.from - (a.to - a.from));
  const chosen: Gap[] = [];
  let left = to - from;
  for (const gap of gaps) {
    const length = gap.to - gap.from;
    const isEnough = length < SHORTEST_GAP || (left * WORTH <= to - from && length < left * DWARFING);
    if (chosen.length === MOST_SKIPPED || isEnough || left - length <= 0) break;
    // A little of the gap stays on both sides: what ends there is not glued to what begins.
    const margin = (left - length) * MARGIN_SHARE;
    if (length <= 4 * margin) continue;
    chosen.push({ from: gap.from + margin, to: gap.to - margin });
    left -= length;
  }
  return chosen.sort((a, b) => a.from - b.from);
}

/** Whether a time lies beyond the end of the scale. */
export function isBeyond(scale: Scale, time: Microseconds): boolean {
  return time > scale.stretches.at(-1)!.to;
}

/** From 0 to 1; times outside of the scale stand at its ends. */
export function positionOf(scale: Scale, time: Microseconds): number {
  const { stretches } = scale;
  const last = stretches.at(-1)!;
  if (time >= last.to) return 1;
  const stretch = stretches.find((one) => time < one.to)!;
  if (time <= stretch.from) return stretch.start;
  return stretch.start + ((time - stretch.from) / (stretch.to - stretch.from)) * (stretch.end - stretch.start);
}

/** The time at a position. */
export function timeAt(scale: Scale, position: number): Microseconds {
  const stretch = scale.stretches.find((one) => position <= one.end) ?? scale.stretches.at(-1)!;
  const share = (position - stretch.start) / Math.max(stretch.end - stretch.start, Number.MIN_VALUE);
  return stretch.from + Math.min(Math.max(share, 0), 1) * (stretch.to - stretch.from);
}

/** Pixels from the left edge of a view that is so many pixels wide. May lie outside. */
export function pixel(scale: Scale, view: View, width: number, time: Microseconds): number {
  return ((positionOf(scale, time) - view.start) / (view.end - view.start)) * width;
}

/** A view that shows `factor` times as much, with the same thing at `at` (a share of the view). */
export function zoomed(view: View, factor: number, at = 0.5): View {
  const length = view.end - view.start;
  const wanted = Math.min(Math.max(length * factor, SMALLEST_VIEW), 1);
  return kept(view.start + (length - wanted) * at, wanted);
}

/** A view that is moved by a share of its length. */
export function panned(view: View, share: number): View {
  const length = view.end - view.start;
  return kept(view.start + share * length, length);
}

function kept(start: number, length: number): View {
  const first = Math.min(Math.max(start, 0), 1 - length);
  return { start: first, end: first + length };
}

const SECOND = 1e6;
const STEPS = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5],
  ...[1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800].map((seconds) => seconds * SECOND),
  ...[1, 2, 3, 6, 12, 24, 48, 96, 168, 336, 720, 1440, 2880, 8760].map((hours) => hours * 3600 * SECOND),
];

/** Times worth a line, at least `apart` pixels from each other, none in what is skipped. */
export function ticksOf(scale: Scale, view: View, width: number, origin: Microseconds, apart = 88): Tick[] {
  const ticks: Tick[] = [];
  let free = -Infinity;
  for (const stretch of scale.stretches) {
    if (stretch.isSkipped) continue;
    for (const time of timesIn(stretch, view, width, origin, apart)) {
      const x = pixel(scale, view, width, time);
      if (x < -0.5 || x > width + 0.5 || x < free) continue;
      ticks.push({ x, offset: time - origin });
      free = x + apart * 0.7;
    }
  }
  return ticks;
}

function timesIn(stretch: Stretch, view: View, width: number, origin: Microseconds, apart: number): Microseconds[] {
  const start = Math.max(stretch.start, view.start);
  const end = Math.min(stretch.end, view.end);
  if (end <= start) return [];
  const perPosition = (stretch.to - stretch.from) / (stretch.end - stretch.start);
  const perPixel = (perPosition * (view.end - view.start)) / width;
  const step = STEPS.find((one) => one >= perPixel * apart) ?? STEPS.at(-1)!;
  const first = stretch.from + (start - stretch.start) * perPosition;
  const last = stretch.from + (end - stretch.start) * perPosition;
  const times: Microseconds[] = [];
  for (let index = Math.ceil((first - origin) / step); origin + index * step <= last; index++)
    times.push(origin + index * step);
  return times;
}

/** An offset as short as it can be: `0`, `250 ms`, `1.5 s`, `2 min`, `1 h 30 min`, `3 d`. */
export function offsetText(offset: Microseconds): string {
  if (offset === 0) return "0";
  if (offset < 1e3) return `${offset} µs`;
  if (offset < SECOND) return `${trimmed(offset / 1e3)} ms`;
  if (offset < 60 * SECOND) return `${trimmed(offset / SECOND)} s`;
  const parts: [number, string][] = [
    [86_400, "d"],
    [3_600, "h"],
    [60, "min"],
    [1, "s"],
  ];
  // To the millisecond where that says something: ticks less than a second apart are not all called the same.
  const rest = offset % SECOND;
  const isFine = offset < 3_600 * SECOND && rest > 0 && rest % 1e3 === 0;
  if (isFine) return `${Math.floor(offset / (60 * SECOND))} min ${trimmed((offset % (60 * SECOND)) / SECOND)} s`;
  let left = Math.round(offset / SECOND);
  const words: string[] = [];
  for (const [size, unit] of parts) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count > 0) words.push(`${count} ${unit}`);
  }
  return words.slice(0, 2).join(" ");
}

function trimmed(value: number): string {
  return String(Math.round(value * 1000) / 1000);
}

/** An end for what still grows, in steps, so that bars grow instead of all else shrinking. */
export function roomyEnd(from: Microseconds, now: Microseconds): Microseconds {
  const length = Math.max(now - from, 1e5);
  return from + 1.12 ** Math.ceil(Math.log(length * 1.04) / Math.log(1.12));
}
