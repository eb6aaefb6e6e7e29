/** The last instances that failed on this host. */

import type { JSX } from "preact";
import type { Overview } from "../../api/types";
import { Time } from "../../parts/time";
import { addressOf, instanceAddress } from "../../router";

export function Failures({ overview }: { readonly overview: Overview | null }): JSX.Element | null {
  const failures = overview?.failures ?? [];
  return (
    <section class="card" aria-labelledby="failures-head">
      <header class="card-head">
        <h2 id="failures-head">Recent failures</h2>
        <a href={addressOf("instances", { status: "failed", order: "last_completed" })}>All that failed</a>
      </header>
      {failures.length === 0 && (
        <p class="card-body quiet-text">No instance of this host has failed since it started.</p>
      )}
      <ul class="lines">
        {failures.map((failure) => (
          <li key={`${failure.instanceId} ${failure.at}`}>
            <a class="line" href={instanceAddress(failure.instanceId)}>
              <span class="line-text">
                <span>
                  <strong>{failure.name}</strong> <span class="mono quiet-text">{failure.instanceId}</span>
                </span>
                <span class="failure-message">{failure.message}</span>
              </span>
              <span class="quiet-text small-text">
                <Time at={failure.at} />
              </span>
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}
