/** Patterns of bars: what they say is said without colour too. Once on the page, for all timelines. */
import type { JSX } from "preact";

export function Patterns(): JSX.Element {
  return (
    <svg class="tl-patterns" width="0" height="0" aria-hidden="true" focusable="false">
      <defs>
        <pattern id="tl-failed" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
          <rect width="6" height="6" class="tl-ground-failed" />
          <rect width="2.4" height="6" class="tl-ink-failed" />
        </pattern>
        <pattern id="tl-running" width="10" height="10" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)">
          <rect width="10" height="10" class="tl-ink-running" />
          <rect width="4" height="10" class="tl-light" />
        </pattern>
        <pattern id="tl-wait" width="5" height="6" patternUnits="userSpaceOnUse">
          <circle cx="2.5" cy="3" r="1.2" class="tl-ink-wait" />
        </pattern>
      </defs>
    </svg>
  );
}
