/** The hosts of the hub: who serves what, how busy they are, what nobody serves; and links to other hubs. */

import type { JSX } from "preact";
import { get } from "../api/client";
import { useResource } from "../api/resource";
import type { HubHost, HubHosts, HubLink, Overview, ScaleAdvice } from "../api/types";
import { bytesText, counted, countText, spanText } from "../formatting";
import { ReadError } from "../parts/read_error";
import { Table, type Column } from "../parts/table";
import { Time } from "../parts/time";
import { ViewHead } from "../parts/view_head";
import { HostState } from "./host_state";
import { rangesText } from "./ranges";

const OFTEN = 2500;

type Pool = NonNullable<Overview["pools"]>[number];

export function HostsView(): JSX.Element {
  const hub = useResource("hosts", () => get<HubHosts>("/admin/hosts"), { every: OFTEN });
  const scale = useResource("scale", () => get<ScaleAdvice>("/admin/scale"), { every: 2 * OFTEN });
  const overview = useResource("overview", () => get<Overview>("/admin/overview"), { every: 2 * OFTEN });
  const links = useResource("links", () => get<readonly HubLink[]>("/runtime/links"), { every: 2 * OFTEN });
  const known = hub.value.value;
  return (
    <>
      <ViewHead
        title="Hosts"
        about={
          known
            ? `The hub has ${counted(known.partitions, "partition")}; each is served by one host at a time.`
            : "Who serves the hub."
        }
      />
      <ReadError of={hub} isEmpty={hub.value.value === null} />
      {known?.unserved.map((gap) => (
        <div key={gap.partitions.join()} class="note bad" role="alert">
          <span class="note-sign" aria-hidden="true">
            ✕
          </span>
          <p>
            <strong>
              {gap.partitions.length === 1 ? "Partition" : "Partitions"} {rangesText(gap.partitions)} served by nobody
            </strong>
            {gap.since ? (
              <>
                , since <Time at={gap.since} />
              </>
            ) : null}
            {gap.lastHost ? `; last by ${gap.lastHost}` : ""}. Their instances stand still until a host takes them.
          </p>
        </div>
      ))}
      <Advice advice={scale.value.value} />
      <ul class="host-cards">
        {(known?.hosts ?? []).map((host) => (
          <li key={host.host}>
            <HostCard host={host} />
          </li>
        ))}
      </ul>
      <Pools overview={overview.value.value} />
      {(links.value.value?.length ?? 0) > 0 && (
        <section class="card" aria-label="Links to other hubs">
          <header class="card-head">
            <h2>Links to other hubs</h2>
          </header>
          <Table
            label="Links to other hubs"
            columns={LINK_COLUMNS}
            rows={links.value.value ?? []}
            keyOf={(link) => link.name}
          />
        </section>
      )}
    </>
  );
}

function Advice({ advice }: { readonly advice: ScaleAdvice | null }): JSX.Element | null {
  if (advice === null || advice.wanted === advice.hosts) return null;
  const isMore = advice.wanted > advice.hosts;
  return (
    <div class="note" role="status">
      <span class="note-sign" aria-hidden="true">
        {isMore ? "▲" : "▽"}
      </span>
      <p>
        <strong>
          {counted(advice.wanted, "host")} would do, {isMore ? "more" : "fewer"} than the {countText(advice.hosts)}{" "}
          there
        </strong>
        : {advice.reason}.
      </p>
    </div>
  );
}

/** Workers of the host that has sent the page; each host has its own. */
function Pools({ overview }: { readonly overview: Overview | null }): JSX.Element | null {
  const pools = overview?.pools ?? [];
  if (overview === null || pools.length === 0) return null;
  return (
    <section class="card" aria-labelledby="pools-head">
      <header class="card-head">
        <h2 id="pools-head">Workers of {overview.host}</h2>
      </header>
      <Table
        label="Workers of this host"
        columns={POOL_COLUMNS}
        rows={pools}
        keyOf={(pool) => `${pool.program ?? ""} ${pool.name}`}
      />
    </section>
  );
}

function HostCard({ host }: { readonly host: HubHost }): JSX.Element {
  const load = host.load ?? {};
  return (
    <article class="card" aria-label={host.description}>
      <header class="card-head">
        <h2 class="broken-anywhere">{host.description}</h2>
        <HostState host={host} />
      </header>
      <dl class="facts card-body">
        {host.address && <dt>Address</dt>}
        {host.address && <dd class="mono">{host.address}</dd>}
        <dt>Partitions</dt>
        <dd>{host.partitions?.length ? `${rangesText(host.partitions)} (${host.partitions.length})` : "none"}</dd>
        <dt>App</dt>
        <dd>
          {host.appVersion || "no version given"}
          {host.isNewest === false && <span class="quiet-text"> (older than others)</span>}
        </dd>
        {host.since ? <dt>Since</dt> : null}
        {host.since ? (
          <dd>
            <Time at={host.since} />
          </dd>
        ) : null}
        <dt title="Those that only wait may be unloaded">In memory</dt>
        <dd>{counted(load.instances ?? 0, "instance")}</dd>
        <dt>Activities</dt>
        <dd>{countText(load.activities ?? 0)} running</dd>
        <dt title="Instances that could go on now, and for how long the last one waited for its turn">Waiting turns</dt>
        <dd>{load.ready ? `${counted(load.ready, "turn")}, for up to ${spanText(load.waited ?? 0)}` : "none"}</dd>
        {host.silentSeconds ? <dt>Silent</dt> : null}
        {host.silentSeconds ? <dd>for {spanText(host.silentSeconds)}</dd> : null}
      </dl>
    </article>
  );
}

const POOL_COLUMNS: readonly Column<Pool>[] = [
  { id: "name", label: "Workers", isWide: true, cell: (pool) => pool.name },
  { id: "program", label: "Program", cell: (pool) => pool.program || "–" },
  { id: "workers", label: "There", isNumber: true, cell: (pool) => countText(pool.workers) },
  { id: "starting", label: "Starting", isNumber: true, cell: (pool) => countText(pool.starting ?? 0) },
  { id: "least", label: "At least", isNumber: true, cell: (pool) => countText(pool.least ?? 0) },
  { id: "most", label: "At most", isNumber: true, cell: (pool) => countText(pool.most) },
];

const LINK_COLUMNS: readonly Column<HubLink>[] = [
  { id: "name", label: "Hub", isWide: true, cell: (link) => <strong>{link.name}</strong> },
  { id: "dials", label: "Dials", cell: (link) => (link.dials ? (link.url ?? "yes") : "is dialled") },
  {
    id: "waiting",
    label: "Waiting",
    isNumber: true,
    cell: (link) => `${countText(link.waiting)} (${bytesText(link.waitingBytes)})`,
  },
  { id: "received", label: "Received", isNumber: true, cell: (link) => countText(link.received) },
  { id: "delivered", label: "Delivered", isNumber: true, cell: (link) => countText(link.delivered) },
  {
    id: "heard",
    label: "Heard",
    isNumber: true,
    cell: (link) => (link.heardAt ? <Time at={link.heardAt} /> : "never"),
  },
  { id: "problem", label: "Problem", cell: (link) => link.problem ?? "–" },
];
