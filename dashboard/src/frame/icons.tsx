/** Icons of the frame: strokes in a square of 16. They stand beside words, or in buttons that have a name. */

import type { JSX } from "preact";

const PATHS = {
  overview: "M2 13.5h12M3.5 11V7.5m3 3.5V3m3 8V6m3 5V4.5",
  instances: "M2.5 4h11M2.5 8h11m-11 4h7",
  held: "M8 2.2 14.3 13.3H1.7zM8 6.4v3.2m0 1.9v.1",
  topics: "M3 8a5 5 0 0 1 10 0M1 8a7 7 0 0 1 14 0M8 8v6M6 8a2 2 0 0 1 4 0",
  queues: "M2.5 3.5h11v3h-11zm0 6h11v3h-11z",
  failed: "M2.5 8a5.5 5.5 0 1 0 1.8-4.1M2.5 2v3h3M8 5v3.4l2 1.4",
  letters: "M2 4h12v8.5H2zM2 4.5l6 4.6 6-4.6",
  functions: "M6 3H4.5v10H6M10 3h1.5v10H10M7 8h2",
  hosts: "M2.5 3h11v4h-11zm0 6h11v4h-11zM5 5h.1M5 11h.1",
  usage: "M8 1.8a6.2 6.2 0 1 1 0 12.4A6.2 6.2 0 0 1 8 1.8M8 8V1.8M8 8l5 3.6",
  settings: "M2.5 4.5h7m4 0h-1m-10 7h1m9.5 0h-6.5M11 3v3M5 10v3",
  menu: "M2.5 4.5h11m-11 3.5h11m-11 3.5h11",
  search: "M7 2.5a4.5 4.5 0 1 1 0 9 4.5 4.5 0 0 1 0-9M10.4 10.4 14 14",
  system: "M2 3h12v8H2zm4 11h4m-2-3v3",
  light:
    "M8 5a3 3 0 1 1 0 6 3 3 0 0 1 0-6M8 1.5v1M8 13.5v1M1.5 8h1m11 0h1M3.4 3.4l.7.7m7.8 7.8.7.7m0-9.2-.7.7M4.1 11.9l-.7.7",
  dark: "M13.5 9.5A6 6 0 0 1 6.5 2.5 6 6 0 1 0 13.5 9.5z",
  help: "M6 6a2 2 0 1 1 2.8 1.8c-.6.3-.8.7-.8 1.4m0 2.3v.1M8 1.8a6.2 6.2 0 1 1 0 12.4A6.2 6.2 0 0 1 8 1.8",
  leave: "M9.5 2.5h-6v11h6M6.5 8h7.5m-3-3 3 3-3 3",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { readonly name: IconName }): JSX.Element {
  return (
    <svg viewBox="0 0 16 16" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}

export function Brand(): JSX.Element {
  return (
    <svg viewBox="0 0 32 32" aria-hidden="true">
      <rect class="brand-ground" width="32" height="32" rx="8" />
      <path d="M7 21h18" stroke="#fff" stroke-width="3" stroke-linecap="round" />
      <circle cx="16" cy="12.5" r="4" fill="#fff" />
    </svg>
  );
}
