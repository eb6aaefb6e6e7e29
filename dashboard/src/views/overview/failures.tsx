/** The last instances of the hub that failed, whichever host they were on, and before a restart too. */

import type { JSX } from "preact";
import { useFailures } from "./recent";
import { Time } from "../../parts/time";
import { addressOf, instanceAddress } from "../../router";

export function Failures(): JSX.Element {
  const recent = useFailures();
  const failures = recent.value.value ?? [];
  return (
    <section class="card" aria-labelledby="failures-head">
      <header class="card-head">
        <h2 id="failures-head">Recent failures</h2>
        <a href={addressOf("instances", { status: "failed", order: "last_completed" })}>All that failed</a>
      </header>
      {recent.value.value !== null && failures.length === 0 && (
        <p class="card-body quiet-text">
          {recent.isFresh.value ? "No instance of this hub that is still kept has failed." : "Looking…"}
        </p>
      )}
      <ul class="lines">
        {failures.map((failure) => (
          <li key={failure.instanceId}>
            <a class="line" href={instanceAddress(failure.instanceId)}>
              <span class="line-text">
                <span>
                  <strong>{failure.name}</strong> <span class="mono quiet-text">{failure.instanceId}</span>
                </span>
                <span class="failure-message">{failure.failure?.errorMessage}</span>
              </span>
              <span class="quiet-text small-text">
                <Time at={failure.completedAt ?? failure.updatedAt ?? failure.createdAt} />
              </span>
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}
