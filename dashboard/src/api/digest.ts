/** How many instances have changed, counted from updates. Pure. */

import type { Digest, Update } from "./types";

/** As the host counts them, for who is told of updates. */
export function digestOf(updates: readonly Update[]): Digest {
  return {
    changed: updates.length,
    ended: updates.filter((one) => one.ended).length,
    failed: updates.filter((one) => one.ended && one.runtimeStatus === "Failed").length,
    held: updates.filter((one) => one.hold).length,
    purged: updates.filter((one) => one.purged).length,
    elsewhere: false,
  };
}
