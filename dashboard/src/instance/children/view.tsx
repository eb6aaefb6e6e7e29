/** The children of an instance, and how each stands. */

import type { JSX } from "preact";
import { spanText } from "../../formatting";
import { now } from "../../clock";
import { EmptyState } from "../../parts/empty_state";
import { StatusBadge } from "../../parts/status_badge";
import { Table, type Column } from "../../parts/table";
import { Time } from "../../parts/time";
import { instanceAddress } from "../../router";
import type { Live } from "../live";
import type { Step } from "../shapes";
import { stateText } from "../timeline/wording";

export function Children({ live }: { readonly live: Live }): JSX.Element {
  const steps = live.run.value.value?.steps;
  const children = (steps ?? []).filter((step) => step.kind === "orchestration");
  if (!steps)
    return (
      <p class="quiet-text" aria-busy="true">
        Reading its children …
      </p>
    );
  if (children.length === 0) return <EmptyState title="It has called no other orchestrator" />;
  return (
    <div class="card scrolled-table">
      <Table label="Children" columns={COLUMNS} rows={children} keyOf={(step) => String(step.number)} />
    </div>
  );
}

const COLUMNS: readonly Column<Step>[] = [
  { id: "name", label: "Orchestrator", cell: (step) => step.name },
  {
    id: "id",
    label: "Instance",
    cell: (step) => <a href={instanceAddress(step.instanceId ?? "")}>{step.instanceId}</a>,
    isWide: true,
  },
  { id: "status", label: "Status", cell: statusCell },
  { id: "begun", label: "Called", cell: (step) => <Time at={step.begunAt} /> },
  {
    id: "took",
    label: "Took",
    cell: (step) => spanText(Math.max((step.endedAt ?? now.value) - step.begunAt, 0) / 1e6),
    isNumber: true,
  },
];

function statusCell(step: Step): JSX.Element {
  const record = step.run?.record;
  if (record?.hold) return <StatusBadge status="held" />;
  return record ? (
    <StatusBadge status={record.status} />
  ) : (
    <StatusBadge status={step.state}>{stateText(step)}</StatusBadge>
  );
}
