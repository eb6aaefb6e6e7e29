/** The graph's tab: reads the flow, loads what lays graphs out, and shows the selected step beside it. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { get } from "../../api/client";
import { useResource } from "../../api/resource";
import { ErrorNote } from "../../parts/error_note";
import { setQuery } from "../../router";
import type { Live } from "../live";
import { found } from "../pane/found";
import { StepPane } from "../pane/pane";
import type { Flow, Instance } from "../shapes";
import { Drawing } from "./drawing";
import { graphOf, type Graph } from "./model";
import { laidOut, type Layout } from "./layout";

export function GraphTab({
  live,
  row,
  selected,
}: {
  readonly live: Live;
  readonly row: Instance;
  readonly selected: string | null;
}): JSX.Element {
  const run = live.run.value.value;
  const flow = useResource<Flow>(`flow ${live.id}`, (signal) => get("/admin/flow", { of: live.id }, signal), {
    every: 30_000,
  });
  const changes = live.changes.value;
  useEffect(() => flow.reload(), [changes]);
  const graph = useMemo(() => run && graphOf(run, flow.value.value), [run, flow.value.value]);
  const layout = useLayout(graph);
  const error = live.run.error.value ?? flow.error.value;
  const step = run && selected !== null ? found(run, selected) : null;
  return (
    <div class={`with-pane ${step ? "open" : ""}`}>
      <div class="stack tight">
        {error && <ErrorNote error={error} retry={live.refresh} />}
        {graph?.isMerged && <p class="note">It has many steps: those of one name are drawn as one.</p>}
        {(graph?.omitted ?? 0) > 0 && <p class="note">{`${graph?.omitted} more are left out.`}</p>}
        {flow.value.value?.isCut && <p class="note">The flow is larger than what is read here: its end is left out.</p>}
        {layout ? (
          <Drawing
            layout={layout}
            onStep={(number) => setQuery({ step: `/${number}` }, { replace: true })}
            label={`What led to what in ${row.name} ${row.instanceId}`}
          />
        ) : (
          <p class="quiet-text" aria-busy="true">
            Drawing …
          </p>
        )}
      </div>
      {step && (
        <StepPane
          key={selected}
          found={step}
          now={Date.now() * 1000}
          onClose={() => setQuery({ step: undefined }, { replace: true })}
        />
      )}
    </div>
  );
}

/** Layout is a library of its own, loaded when a graph is looked at first. */
function useLayout(graph: Graph | null): Layout | null {
  const layout = useSignal<Layout | null>(null);
  const shape = graph && JSON.stringify([graph.nodes.map((node) => [node.id, node.title]), graph.edges]);
  useEffect(() => {
    if (!graph) return undefined;
    let isWanted = true;
    void import("@dagrejs/dagre").then((dagre) => {
      if (isWanted) layout.value = laidOut(graph, dagre, matchMedia("(max-width: 719px)").matches ? "TB" : "LR");
    });
    return () => {
      isWanted = false;
    };
  }, [shape]);
  return useMemo(() => layout.value && graph && withNews(layout.value, graph), [layout.value, graph]);
}

/** States change more often than shapes: they are put in without laying everything out anew. */
function withNews(layout: Layout, graph: Graph): Layout {
  const nodes = new Map(graph.nodes.map((node) => [node.id, node]));
  return {
    ...layout,
    nodes: layout.nodes.map((placed) => ({ ...placed, node: nodes.get(placed.node.id) ?? placed.node })),
  };
}
