/** A moment: how long ago, with the exact time on its title; local or UTC as the person chose. */

import type { JSX } from "preact";
import { now } from "../clock";
import { exactText, momentText, relativeText, shortText, spanText } from "../formatting";
import { zone } from "../preferences";

export interface TimeProps {
  /** Microseconds since 1970 UTC. */
  readonly at: number;
  /** `relative` (5 min ago), `short` (00:54:49) or `exact` (to the second, with its zone). */
  readonly look?: "relative" | "short" | "exact";
}

export function Time({ at, look = "relative" }: TimeProps): JSX.Element {
  const exact = exactText(at, zone.value);
  const moment = new Date(at / 1000).toISOString();
  return (
    <time dateTime={moment} title={exact} class="time">
      {look === "exact"
        ? momentText(at, zone.value)
        : look === "short"
          ? shortText(at, now.value, zone.value)
          : relativeText(at, now.value)}
    </time>
  );
}

/** How long something took, or takes already while `until` is not known. */
export function Duration({ from, until }: { readonly from: number; readonly until?: number | null }): JSX.Element {
  return <span class="time">{spanText(((until ?? now.value) - from) / 1e6)}</span>;
}
