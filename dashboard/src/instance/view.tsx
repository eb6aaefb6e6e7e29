/** The page of one instance: who it is, why it waits, what can be done, and seven ways to look at it. */

import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { readInstance } from "../api/instances";
import { watchHub } from "../api/live";
import { Button } from "../parts/button";
import { EmptyState } from "../parts/empty_state";
import { ReadError } from "../parts/read_error";
import { Tabs, type Tab } from "../parts/tabs";
import { addressOf, instanceAddress, route, type Query } from "../router";
import { ActionHost } from "./actions/acting";
import { ActionBar } from "./actions/bar";
import { Children } from "./children/view";
import { GraphTab } from "./graph/view";
import { Head } from "./head";
import { HistoryTab } from "./history/view";
import { LogTab } from "./log/view";
import { useLive, type Live } from "./live";
import { Payloads } from "./payloads";
import type { Instance } from "./shapes";
import { Summary } from "./summary";
import { TimelineTab } from "./timeline/view";
import { TravelTab } from "./travel/view";
import { Why } from "./why/view";
import "./instance.css";

const TABS = ["timeline", "graph", "history", "travel", "log", "children", "data"] as const;
type TabId = (typeof TABS)[number];

const LABELS: Readonly<Record<TabId, string>> = {
  timeline: "Timeline",
  graph: "Graph",
  history: "History",
  travel: "Time travel",
  log: "Log",
  children: "Children",
  data: "Data",
};

const PANEL = "instance-panel";

export default function InstanceView({ id }: { readonly id: string }): JSX.Element {
  return <InstancePage key={id} id={id} />;
}

function InstancePage({ id }: { readonly id: string }): JSX.Element {
  const live = useLive(id);
  const row = live.instance.value.value;
  useEffect(() => {
    document.title = `${row ? `${row.name} ` : ""}${id} · Tenuto`;
  }, [id, row?.name]);
  const isGone = live.isPurged.value || live.instance.error.value?.status === 404;
  return <ActionHost live={live}>{isGone ? <Gone id={id} live={live} /> : <Present id={id} live={live} />}</ActionHost>;
}

function Present({ id, live }: { readonly id: string; readonly live: Live }): JSX.Element {
  const row = live.instance.value.value;
  return (
    <article class="instance">
      <ReadError of={live.instance} isEmpty={row === null} />
      {row && <Loaded live={live} row={row} />}
      {row === null && live.instance.error.value === null && (
        <p class="quiet-text" aria-busy="true">
          Reading {id} …
        </p>
      )}
    </article>
  );
}

function Gone({ id, live }: { readonly id: string; readonly live: Live }): JSX.Element {
  const isPurged = live.isPurged.value;
  const look = async (): Promise<void> => {
    // Not before it is known: what stands of the purged one must not be shown as if it were there.
    if (live.isPurged.value && !(await readInstance(id)).ok) return;
    live.isPurged.value = false;
    live.refresh();
  };
  // Somebody may start it anew, from here or elsewhere.
  useEffect(
    () =>
      watchHub({
        onUpdates: (updates) => {
          if (updates.some((update) => update.instanceId === id && !update.purged)) void look();
        },
      }),
    [id],
  );
  return (
    <EmptyState title={isPurged ? `${id} was purged` : `There is no instance ${id}`}>
      <p>
        {isPurged ? "It was deleted with its history." : "Perhaps it was purged, or its id is written otherwise."}{" "}
        <a href={addressOf("instances")}>All instances</a>
      </p>
      <Button size="small" onClick={() => void look()}>
        Look again
      </Button>
    </EmptyState>
  );
}

function Loaded({ live, row }: { readonly live: Live; readonly row: Instance }): JSX.Element {
  const { query } = route.value;
  const tab = tabOf(query);
  return (
    <>
      <Head row={row} actions={<ActionBar row={row} />} />
      <Summary row={row} />
      <Why row={row} />
      <Tabs label="Views of the instance" tabs={tabsOf(live, row)} chosen={tab} panel={PANEL} />
      <section id={PANEL} role="tabpanel" aria-labelledby={`tab-${tab}`} class="instance-panel">
        <Panel tab={tab} live={live} row={row} query={query} />
      </section>
    </>
  );
}

function tabOf(query: Query): TabId {
  return TABS.find((one) => one === query["tab"]) ?? "timeline";
}

function tabsOf(live: Live, row: Instance): Tab[] {
  const steps = live.run.value.value?.steps ?? [];
  const children = steps.filter((step) => step.kind === "orchestration").length;
  return TABS.map((id) => ({
    id,
    label: LABELS[id],
    address: instanceAddress(row.instanceId, id === "timeline" ? {} : { tab: id }),
    ...(id === "children" && children > 0 && { count: children }),
  }));
}

interface PanelProps {
  readonly tab: TabId;
  readonly live: Live;
  readonly row: Instance;
  readonly query: Query;
}

function Panel({ tab, live, row, query }: PanelProps): JSX.Element {
  switch (tab) {
    case "timeline":
      return <TimelineTab live={live} row={row} selected={query["step"] ?? null} />;
    case "graph":
      return <GraphTab live={live} row={row} selected={query["step"] ?? null} />;
    case "history":
      return <HistoryTab live={live} row={row} />;
    case "travel":
      return <TravelTab live={live} row={row} turn={Number(query["turn"]) || null} />;
    case "log":
      return <LogTab live={live} />;
    case "children":
      return <Children live={live} />;
    case "data":
      return <Payloads row={row} />;
  }
}
