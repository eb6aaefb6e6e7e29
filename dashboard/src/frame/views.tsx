/** Which view an address shows. The instance's page is loaded when it is asked for first. */

import { useSignal } from "@preact/signals";
import type { ComponentType, JSX } from "preact";
import { useEffect } from "preact/hooks";
import type { Resource } from "../api/resource";
import type { Overview } from "../api/types";
import { EmptyState } from "../parts/empty_state";
import { ViewHead } from "../parts/view_head";
import { addressOf, type Place, type Route } from "../router";
import { DeadLettersView } from "../views/dead_letters";
import { FailedDeliveriesView } from "../views/failed_deliveries";
import { FunctionsView } from "../views/functions";
import { HeldView } from "../views/held";
import { HostsView } from "../views/hosts";
import { InstancesView } from "../views/instances/view";
import { OverviewView } from "../views/overview/view";
import { QueuesView } from "../views/queues";
import { SettingsView } from "../views/settings";
import { TopicsView } from "../views/topics";
import { UsageView } from "../views/usage";

const VIEWS: Readonly<Record<Exclude<Place, "overview">, ComponentType>> = {
  instances: InstancesView,
  held: HeldView,
  "dead-letters": DeadLettersView,
  "failed-deliveries": FailedDeliveriesView,
  functions: FunctionsView,
  hosts: HostsView,
  topics: TopicsView,
  queues: QueuesView,
  usage: UsageView,
  settings: SettingsView,
};

export function View({
  route,
  overview,
}: {
  readonly route: Route;
  readonly overview: Resource<Overview>;
}): JSX.Element {
  if (route.view === "instance") return <LoadedInstance key={route.id} id={route.id} />;
  if (route.view === "unknown") return <UnknownView path={route.path} />;
  if (route.view === "overview") return <OverviewView overview={overview} />;
  const Chosen = VIEWS[route.view];
  return <Chosen />;
}

type InstancePage = ComponentType<{ readonly id: string }>;
let loadedPage: InstancePage | null = null;

function LoadedInstance({ id }: { readonly id: string }): JSX.Element {
  const page = useSignal<{ readonly Page: InstancePage } | null>(loadedPage && { Page: loadedPage });
  const hasFailed = useSignal(false);
  useEffect(() => {
    if (page.value) return;
    import("../instance/view").then(
      (module) => {
        loadedPage = module.default;
        page.value = { Page: module.default };
      },
      () => (hasFailed.value = true),
    );
  }, []);
  if (hasFailed.value) return <NotLoaded />;
  if (!page.value) return <p class="quiet-text" aria-busy="true" />;
  const { Page } = page.value;
  return <Page id={id} />;
}

/** The host has been replaced by another version, whose files have other names; or it is away. */
function NotLoaded(): JSX.Element {
  return (
    <EmptyState title="This part of the page could not be loaded">
      <p>The host may be away, or be of another version now.</p>
      <button type="button" class="button primary" onClick={() => location.reload()}>
        Load the page anew
      </button>
    </EmptyState>
  );
}

function UnknownView({ path }: { readonly path: string }): JSX.Element {
  return (
    <>
      <ViewHead title="There is no such page" />
      <p class="prose">
        <span>
          Nothing is at <code class="broken-anywhere">{path}</code>. The <a href={addressOf("overview")}>overview</a> is
          a good place to begin.
        </span>
      </p>
    </>
  );
}
