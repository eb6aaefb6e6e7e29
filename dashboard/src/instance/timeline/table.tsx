/** The steps as a table: the same as the bars, for those who read it better. */

import type { JSX } from "preact";
import { spanText } from "../../formatting";
import { StatusBadge } from "../../parts/status_badge";
import { Table, type Column } from "../../parts/table";
import { Time } from "../../parts/time";
import { instanceAddress } from "../../router";
import type { Microseconds, Run, Step } from "../shapes";
import { kindText, stateText, titleOf } from "./wording";

export function StepTable({ run, now }: { readonly run: Run; readonly now: Microseconds }): JSX.Element {
  const columns: readonly Column<Step>[] = [
    { id: "number", label: "No.", cell: (step) => (step.number > 0 ? step.number : ""), isNumber: true },
    { id: "name", label: "Step", cell: nameCell, isWide: true },
    { id: "kind", label: "Kind", cell: kindText },
    { id: "state", label: "State", cell: (step) => <StatusBadge status={step.state}>{stateText(step)}</StatusBadge> },
    { id: "begun", label: "Begun", cell: (step) => <Time at={step.begunAt} look="short" /> },
    {
      id: "took",
      label: "Took",
      cell: (step) => spanText(Math.max((step.endedAt ?? now) - step.begunAt, 0) / 1e6),
      isNumber: true,
    },
    { id: "attempts", label: "Attempts", cell: (step) => step.attempt ?? 1, isNumber: true },
  ];
  return (
    <div class="card scrolled-table">
      <Table label="Steps" columns={columns} rows={run.steps ?? []} keyOf={(step) => String(step.number)} />
    </div>
  );
}

function nameCell(step: Step): JSX.Element | string {
  const title = titleOf(step) || kindText(step);
  if (step.kind !== "orchestration" || !step.instanceId) return title;
  return <a href={instanceAddress(step.instanceId)}>{`${title} ${step.instanceId}`}</a>;
}
