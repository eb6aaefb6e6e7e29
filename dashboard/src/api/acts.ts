/** Counts what this page has changed: whoever shows data reads it anew then (`freshness`). */

import { signal } from "@preact/signals";

/** Grows with each request that changed something. */
export const acts = signal(0);
