/** Whether what is shown is live, by shape and word. */

import type { JSX } from "preact";
import { connection } from "../api/connection";
import { Time } from "../parts/time";

const WORDS = {
  connecting: "Connecting",
  live: "Live",
  asking: "Every 3 s",
  reconnecting: "Reconnecting",
  away: "Host away",
} as const;

/** A browser has six connections to a host. */
const SHARED = "Other windows hold the live updates that this browser can have; this one asks every 3 seconds";

export function ConnectionState(): JSX.Element {
  const { state } = connection.value;
  return (
    <span class={`connection ${state}`} role="status" title={state === "asking" ? SHARED : WORDS[state]}>
      <svg viewBox="0 0 10 10" aria-hidden="true">
        {state === "live" ? (
          <circle cx="5" cy="5" r="4" fill="currentColor" />
        ) : state === "away" ? (
          <path d="m1.5 1.5 7 7m0-7-7 7" stroke="currentColor" stroke-width="2" />
        ) : (
          <circle cx="5" cy="5" r="3.5" fill="none" stroke="currentColor" stroke-width="2" />
        )}
      </svg>
      <span class="connection-word">{WORDS[state]}</span>
    </span>
  );
}

/** Stands above the view while the host does not answer: what is shown is old, and since when. */
export function AwayNotice(): JSX.Element | null {
  const at = connection.value;
  if (at.state !== "away") return null;
  return (
    <div class="away-notice" role="alert">
      The host does not answer.
      <span>
        Last heard of <Time at={at.since} />; what you see is from then. This page goes on by itself when it is back.
      </span>
    </div>
  );
}
