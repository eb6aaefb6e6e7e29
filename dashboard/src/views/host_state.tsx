/** How a host is, by sign and word. */

import type { JSX } from "preact";
import type { HubHost } from "../api/types";
import { StatusBadge } from "../parts/status_badge";

export function HostState({ host }: { readonly host: HubHost }): JSX.Element {
  if (host.isAlive === false) return <StatusBadge status="failed">Gone</StatusBadge>;
  if (host.isLeaving) return <StatusBadge status="terminated">Leaving</StatusBadge>;
  if ((host.silentSeconds ?? 0) > 0) return <StatusBadge status="held">Silent</StatusBadge>;
  return <StatusBadge status="completed">Serving</StatusBadge>;
}
