/** Processes that run functions of foreign programs, where there are some. */

import type { JSX } from "preact";
import type { Overview } from "../../api/types";
import { countText } from "../../formatting";
import { Table, type Column } from "../../parts/table";

type Worker = Overview["workers"][number];

export function Workers({ overview }: { readonly overview: Overview | null }): JSX.Element | null {
  const workers = overview?.workers ?? [];
  if (workers.length === 0) return null;
  return (
    <section class="card" aria-labelledby="workers-head">
      <header class="card-head">
        <h2 id="workers-head">Workers</h2>
      </header>
      <Table label="Workers" columns={COLUMNS} rows={workers} keyOf={(worker) => `${worker.program} ${worker.name}`} />
    </section>
  );
}

const COLUMNS: readonly Column<Worker>[] = [
  { id: "name", label: "Worker", isWide: true, cell: (worker) => worker.name },
  { id: "program", label: "Program", cell: (worker) => worker.program },
  { id: "state", label: "State", cell: (worker) => worker.state },
  { id: "running", label: "Running", isNumber: true, cell: (worker) => countText(worker.running) },
  { id: "pid", label: "Process", isNumber: true, cell: (worker) => (worker.pid ? String(worker.pid) : "–") },
];
