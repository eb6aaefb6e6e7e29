/** The last failures of the hub. */

import { listInstances } from "../../api/instances";
import { useResource, type Resource } from "../../api/resource";
import type { InstanceRecord } from "../../api/types";

const SHOWN = 8;

/** Read anew regularly, and when one has failed. */
export function useFailures(): Resource<readonly InstanceRecord[]> {
  return useResource(
    "failures",
    async (signal) => {
      const query = { status: "failed", order: "last_completed", limit: SHOWN, payloads: false };
      const answer = await listInstances(query, signal);
      return answer.ok ? { ...answer, value: answer.value.records } : answer;
    },
    { isChangedBy: (digest) => digest.failed > 0 || digest.elsewhere },
  );
}
