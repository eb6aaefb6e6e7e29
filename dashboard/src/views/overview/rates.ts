/** The series of the overview as the chart and its table need them. Pure. */

import type { Series } from "../../api/types";

export interface Line {
  readonly id: "started" | "completed" | "failed" | "activities";
  readonly label: string;
  /** Dashes and gaps in pixels: lines are told apart without colour too. */
  readonly dash: readonly number[];
}

export const LINES: readonly Line[] = [
  { id: "started", label: "Started", dash: [] },
  { id: "completed", label: "Completed", dash: [7, 3] },
  { id: "failed", label: "Failed", dash: [2, 3] },
  { id: "activities", label: "Activities", dash: [10, 3, 2, 3] },
];

/** Seconds since 1970, then what happened per second, line by line: as uPlot takes it. */
export function chartData(series: Series): number[][] {
  const times = series.started.map((_, step) => series.from / 1e6 + step * series.stepSeconds);
  return [times, ...LINES.map((line) => series[line.id].map((count) => count / series.stepSeconds))];
}

export interface Minute {
  readonly at: number;
  readonly started: number;
  readonly completed: number;
  readonly failed: number;
  readonly activities: number;
}

/** The same minute by minute, newest first, for those who do not see the chart. */
export function minutes(series: Series): readonly Minute[] {
  const perMinute = Math.max(1, Math.round(60 / series.stepSeconds));
  const found: Minute[] = [];
  for (let end = series.started.length; end > 0; end -= perMinute) {
    const begin = Math.max(0, end - perMinute);
    const of = (values: readonly number[]) => values.slice(begin, end).reduce((total, value) => total + value, 0);
    found.push({
      at: series.from + begin * series.stepSeconds * 1e6,
      started: of(series.started),
      completed: of(series.completed),
      failed: of(series.failed),
      activities: of(series.activities),
    });
  }
  return found;
}

/** What happened per second over the last minute. */
export function rateNow(series: Series, id: Line["id"]): number {
  const steps = Math.max(1, Math.round(60 / series.stepSeconds));
  const last = series[id].slice(-steps);
  return last.length === 0 ? 0 : last.reduce((total, value) => total + value, 0) / (last.length * series.stepSeconds);
}

/** A rate with as many digits as it is worth: `0`, `0.4`, `12`, `1,204`. */
export function rateText(rate: number): string {
  if (rate === 0) return "0";
  if (rate < 0.095) return rate.toFixed(2);
  if (rate < 9.95) return rate.toFixed(1);
  return Math.round(rate).toLocaleString("en-US");
}

/** A line of the chart to the digit: `0.25`, `1,500`. */
export function tickText(rate: number): string {
  return rate.toLocaleString("en-US", { maximumFractionDigits: 3 });
}
