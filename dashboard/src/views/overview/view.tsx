/** The overview: what is wrong first, then how much is going on, then who does it. */

import type { JSX } from "preact";
import { useSignal } from "@preact/signals";
import { get } from "../../api/client";
import { useResource, type Resource } from "../../api/resource";
import type { FailedDelivery, HubHosts, InstanceRecord, Overview, QueueStanding, Subscription } from "../../api/types";
import { refusal } from "../../api/session";
import { Button } from "../../parts/button";
import { ReadError } from "../../parts/read_error";
import { ViewHead } from "../../parts/view_head";
import { StartDialog } from "../start/start_dialog";
import { Failures } from "./failures";
import { Figures } from "./figures";
import { FirstRun } from "./first_run";
import { HostsCard } from "./hosts_card";
import { Latest, useLatest } from "./latest";
import { MessagesCard } from "./messages_card";
import { MOST_DELIVERIES, problemsOf, type Known } from "./problems";
import { Problems } from "./problem_list";
import { Throughput } from "./throughput";
import { Workers } from "./workers";

const SELDOM = 5000;

export function OverviewView({ overview }: { readonly overview: Resource<Overview> }): JSX.Element {
  const isStarting = useSignal(false);
  const hosts = useResource("hosts", () => get<HubHosts>("/admin/hosts"), { every: SELDOM });
  const queues = useResource("queues", () => get<readonly QueueStanding[]>("/admin/queues"), { every: SELDOM });
  const subscriptions = useResource("subscriptions", () => get<readonly Subscription[]>("/admin/subscriptions"), {
    every: SELDOM,
  });
  const deliveries = useResource(
    "deliveries",
    () => get<readonly FailedDelivery[]>("/admin/failed-deliveries", { limit: MOST_DELIVERIES }),
    {
      every: 2 * SELDOM,
    },
  );
  const latest = useLatest();
  const shown = overview.value.value;
  if (latest.value.value?.length === 0 && latest.isFresh.value && shown?.instances && !hasInstances(shown.instances))
    return <FirstRun />;
  const parts = [overview, hosts, queues, subscriptions, deliveries, latest];
  // All at once: what came later would push down what one has begun to read.
  const isKnown =
    parts.every((part) => part.value.value !== null || part.error.value !== null) &&
    parts.some((part) => part.value.value !== null);
  const known: Known = {
    overview: shown,
    hosts: hosts.value.value,
    queues: queues.value.value,
    subscriptions: subscriptions.value.value,
    failedDeliveries: deliveries.value.value,
  };
  return (
    <>
      <ViewHead title="Overview">
        <Button kind="primary" refusal={refusal("operate")} onClick={() => (isStarting.value = true)}>
          Start an orchestration
        </Button>
      </ViewHead>
      <ReadError of={overview} isEmpty={overview.value.value === null} />
      {isKnown && <Body known={known} latest={latest.value.value} />}
      {isStarting.value && <StartDialog onClose={() => (isStarting.value = false)} />}
    </>
  );
}

function Body({
  known,
  latest,
}: {
  readonly known: Known;
  readonly latest: readonly InstanceRecord[] | null;
}): JSX.Element {
  const { overview } = known;
  return (
    <>
      <Problems problems={problemsOf(known)} isKnown={overview !== null && known.hosts !== null} />
      <Figures overview={overview} />
      <div class="overview-grid">
        <div class="stack">
          <Throughput series={overview?.series ?? null} since={overview?.since ?? null} />
          <Failures />
          <Workers overview={overview} />
        </div>
        <div class="stack">
          <Latest records={latest} />
          <HostsCard hosts={known.hosts} />
          <MessagesCard queues={known.queues} subscriptions={known.subscriptions} />
        </div>
      </div>
    </>
  );
}

function hasInstances(instances: NonNullable<Overview["instances"]>): boolean {
  return instances.pending + instances.running + instances.suspended > 0;
}
