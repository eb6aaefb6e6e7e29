/** The hosts of the hub in short. */

import type { JSX } from "preact";
import type { HubHosts } from "../../api/types";
import { counted, spanText } from "../../formatting";
import { addressOf } from "../../router";
import { HostState } from "../host_state";

export function HostsCard({ hosts }: { readonly hosts: HubHosts | null }): JSX.Element {
  return (
    <section class="card" aria-labelledby="hosts-head" aria-busy={hosts === null}>
      <header class="card-head">
        <h2 id="hosts-head">Hosts</h2>
        <a href={addressOf("hosts")}>{hosts ? counted(hosts.partitions, "partition") : "Hosts"}</a>
      </header>
      <ul class="lines">
        {(hosts?.hosts ?? []).map((host) => (
          <li key={host.host} class="line">
            <HostState host={host} />
            <span class="line-text">
              <span class="cut">{host.description}</span>
              <span class="quiet-text cut">
                {counted(host.partitions?.length ?? 0, "partition")}
                {host.load && `, ${counted(host.load.activities ?? 0, "activity", "activities")} running`}
                {host.load?.waited ? `, turns wait ${spanText(host.load.waited)}` : ""}
              </span>
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}
