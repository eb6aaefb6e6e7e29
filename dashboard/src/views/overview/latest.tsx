/** The newest instances, as they move: what a newcomer looks at first. */

import type { JSX } from "preact";
import { listInstances } from "../../api/instances";
import { useResource, type Resource } from "../../api/resource";
import type { InstanceRecord } from "../../api/types";
import { StatusBadge } from "../../parts/status_badge";
import { Time } from "../../parts/time";
import { addressOf, instanceAddress } from "../../router";
import { standingOf } from "../../statuses";

const SHOWN = 8;

/** The newest instances, read anew at most once a second while something happens. */
export function useLatest(): Resource<readonly InstanceRecord[]> {
  return useResource(
    "latest",
    async (signal) => {
      const answer = await listInstances({ limit: SHOWN, payloads: false }, signal);
      return answer.ok ? { ...answer, value: answer.value.records } : answer;
    },
    { isChangedBy: () => true },
  );
}

export function Latest({ records }: { readonly records: readonly InstanceRecord[] | null }): JSX.Element {
  return (
    <section class="card of-latest" aria-labelledby="latest-head" aria-busy={records === null}>
      <header class="card-head">
        <h2 id="latest-head">Newest instances</h2>
        <a href={addressOf("instances")}>All instances</a>
      </header>
      <ul class="lines">
        {(records ?? []).map((record) => (
          <li key={record.instanceId}>
            <a class="line" href={instanceAddress(record.instanceId)}>
              <StatusBadge status={standingOf(record)} />
              <span class="line-text">
                <span class="cut">{record.name}</span>
                <span class="mono quiet-text cut">{record.instanceId}</span>
              </span>
              <span class="quiet-text small-text">
                <Time at={record.createdAt} />
              </span>
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}
