/** Statuses by colour, shape and word: each is enough alone. */

import type { JSX } from "preact";

const KINDS: Readonly<Record<string, Kind>> = {
  running: "running",
  completed: "completed",
  failed: "failed",
  pending: "pending",
  suspended: "suspended",
  terminated: "terminated",
  canceled: "terminated",
  continuedasnew: "running",
  held: "held",
  waiting: "pending",
  retrying: "retrying",
  unread: "pending",
};

type Kind = "running" | "completed" | "failed" | "pending" | "suspended" | "terminated" | "held" | "retrying";

/** The outline of each sign, in a square of 12. Filled shapes have ended, open ones go on. */
const SIGNS: Readonly<Record<Kind, JSX.Element>> = {
  running: <path d="M3 1.8v8.4L10.2 6z" fill="currentColor" />,
  completed: <path d="M2 6.4 4.8 9.2 10 3.2" fill="none" stroke="currentColor" stroke-width="2" />,
  failed: <path d="m2.6 2.6 6.8 6.8m0-6.8L2.6 9.4" fill="none" stroke="currentColor" stroke-width="2" />,
  pending: (
    <circle cx="6" cy="6" r="4" fill="none" stroke="currentColor" stroke-width="1.6" stroke-dasharray="2.2 1.6" />
  ),
  suspended: <path d="M3.2 2v8m5.6-8v8" fill="none" stroke="currentColor" stroke-width="2.2" />,
  terminated: <rect x="2.4" y="2.4" width="7.2" height="7.2" fill="currentColor" />,
  held: <path d="M6 1 11.4 10.6H.6zM6 4.4v3m0 1v1" fill="none" stroke="currentColor" stroke-width="1.4" />,
  retrying: <path d="M9.8 6A3.8 3.8 0 1 1 8.4 3M8.6.8V3.4H6" fill="none" stroke="currentColor" stroke-width="1.6" />,
};

export interface StatusBadgeProps {
  /** A status of an instance (`Running`), a state of a step (`retrying`), or `held`. */
  readonly status: string;
  /** Words instead of the status itself. */
  readonly children?: string;
}

export function StatusBadge({ status, children }: StatusBadgeProps): JSX.Element {
  const kind = kindOf(status);
  return (
    <span class={`badge ${kind}`}>
      <StatusSign status={status} />
      {children ?? wordOf(status)}
    </span>
  );
}

/** The sign alone, for places where the word stands beside it. */
export function StatusSign({ status }: { readonly status: string }): JSX.Element {
  const kind = kindOf(status);
  return (
    <svg class={`sign ${kind}`} viewBox="0 0 12 12" width="12" height="12" aria-hidden="true">
      {SIGNS[kind]}
    </svg>
  );
}

export function kindOf(status: string): Kind {
  return KINDS[status.toLowerCase()] ?? "pending";
}

function wordOf(status: string): string {
  return status.charAt(0).toUpperCase() + status.slice(1);
}
