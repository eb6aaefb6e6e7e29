/** The timeline's tab: bars, the same as a table, and the side pane of the selected step. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { Button } from "../../parts/button";
import { EmptyState } from "../../parts/empty_state";
import { ErrorNote } from "../../parts/error_note";
import { setQuery } from "../../router";
import { usePresent, type Live } from "../live";
import { StepPane } from "../pane/pane";
import { found } from "../pane/found";
import type { Instance, Run } from "../shapes";
import { isOpen } from "./rows";
import { StepTable } from "./table";
import { Timeline } from "./timeline";

const DEEPEST = 20;

export interface TimelineTabProps {
  readonly live: Live;
  readonly row: Instance;
  /** The path of the step whose pane is open. */
  readonly selected: string | null;
}

export function TimelineTab({ live, row, selected }: TimelineTabProps): JSX.Element {
  const run = live.run.value.value;
  const error = live.run.error.value;
  const present = usePresent(row.createdAt, run !== null && isStill(run));
  const isTable = useSignal(false);
  if (!run)
    return error ? (
      <ErrorNote error={error} retry={live.run.reload} />
    ) : (
      <p class="quiet-text" aria-busy="true">
        Reading its steps …
      </p>
    );
  if ((run.steps ?? []).length === 0) return <NoSteps run={run} />;
  const now = Math.max(present, run.record.updatedAt ?? 0);
  const close = (): void => setQuery({ step: undefined }, { replace: true });
  const choice = (
    <Button size="small" onClick={() => (isTable.value = !isTable.value)}>
      {isTable.value ? "As bars" : "As a table"}
    </Button>
  );
  const step = selected === null ? null : found(run, selected);
  return (
    <div class={`with-pane ${step ? "open" : ""}`}>
      <div class="stack tight">
        {error && <ErrorNote error={error} retry={live.run.reload} />}
        {isTable.value ? (
          <>
            <div class="row view-choice">{choice}</div>
            <StepTable run={run} now={now} />
          </>
        ) : (
          <Timeline
            run={run}
            now={now}
            selected={selected}
            tools={choice}
            label={`Steps of ${row.name} ${row.instanceId}`}
            onSelect={(path) => setQuery({ step: path }, { replace: true })}
            onDeeper={() => (live.levels.value = Math.min(live.levels.value + 1, DEEPEST))}
          />
        )}
      </div>
      {step && <StepPane key={selected} found={step} now={now} onClose={close} />}
    </div>
  );
}

/** Whether no bar grows any more. */
function isStill(run: Run): boolean {
  return run.record.completedAt != null && !(run.steps ?? []).some(isOpen);
}

function NoSteps({ run }: { readonly run: Run }): JSX.Element {
  const isOver = run.record.completedAt != null;
  return (
    <EmptyState title={isOver ? "It called nothing and waited for nothing" : "It has done nothing yet"}>
      <p>{isOver ? "Its history holds its beginning and its end." : "Steps appear here as soon as it decides any."}</p>
    </EmptyState>
  );
}
