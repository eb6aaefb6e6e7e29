/** The present, for "5 min ago": one signal for all that shows it, which moves once a second while it is seen. */

import { signal } from "@preact/signals";

/** Microseconds since 1970 UTC. */
export const now = signal(Date.now() * 1000);

if (globalThis.document) {
  setInterval(() => {
    if (!document.hidden) now.value = Date.now() * 1000;
  }, 1000);
}
