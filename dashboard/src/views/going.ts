/** How many instances of each orchestrator have not ended: of the whole hub, for a host counts only what it has in memory. */

import type { Result } from "../api/client";
import { listInstances } from "../api/instances";
import { useResource } from "../api/resource";
import type { InstanceRecord } from "../api/types";

export interface Going {
  readonly counts: ReadonlyMap<string, number>;
  /** There are more than were looked at. */
  readonly isCut: boolean;
}

const MOST = 1_000;
const EVERY = 5_000;

export function useGoing(): Going | null {
  const going = useResource(
    "going",
    async (signal): Promise<Result<Going>> => {
      const query = { status: "pending,running,suspended", limit: MOST, payloads: false };
      const answer = await listInstances(query, signal);
      return answer.ok ? { ...answer, value: counted(answer.value.records, answer.value.after !== null) } : answer;
    },
    { every: EVERY },
  );
  return going.value.value;
}

/** Counts them by their names. Pure. */
export function counted(records: readonly Pick<InstanceRecord, "name">[], isCut: boolean): Going {
  const counts = new Map<string, number>();
  for (const { name } of records) counts.set(name, (counts.get(name) ?? 0) + 1);
  return { counts, isCut };
}
