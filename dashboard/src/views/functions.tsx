/** The functions of this host, with what they did since it started. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { get, post } from "../api/client";
import { useResource } from "../api/resource";
import { refusal } from "../api/session";
import type { FunctionFigures, Functions, TimerFunctionInfo } from "../api/types";
import { Button } from "../parts/button";
import { Confirmation } from "../parts/dialog";
import { ReadError } from "../parts/read_error";
import { Table, type Column } from "../parts/table";
import { Time } from "../parts/time";
import { ViewHead } from "../parts/view_head";
import { StartDialog } from "./start/start_dialog";
import { activityColumns, hasForeign, joined, orchestratorColumns, triggeredColumns } from "./function_figures";
import { useGoing } from "./going";

const OFTEN = 3000;

export function FunctionsView(): JSX.Element {
  const functions = useResource("functions", () => get<Functions>("/admin/functions"));
  const figures = useResource("figures", () => get<FunctionFigures>("/admin/functions/figures"), { every: OFTEN });
  const known = functions.value.value;
  const counts = figures.value.value;
  return (
    <>
      <ViewHead title="Functions" about="What this host can run, and what it did since its start." />
      <ReadError of={functions} isEmpty={functions.value.value === null} />
      <ReadError of={figures} />
      {counts && (
        <p class="quiet-text">
          Counted on this host since it started at <Time at={counts.since} look="exact" />: what began before and ended
          since is among those that ended, not among those that started; one that is restarted under its own id starts
          once and ends again. “Not ended” is of the whole hub, now.
        </p>
      )}
      {known && (
        <>
          <Called known={known} counts={counts} />
          <Triggered known={known} counts={counts} />
        </>
      )}
    </>
  );
}

interface Tables {
  readonly known: Functions;
  readonly counts: FunctionFigures | null;
}

/** Orchestrators, and the activities that they call. */
function Called({ known, counts }: Tables): JSX.Element {
  const started = useSignal<string | null>(null);
  const going = useGoing();
  const program = hasForeign([...known.orchestrators, ...known.activities]) ? "Program" : null;
  return (
    <>
      <Section title="Orchestrators" hasRows={known.orchestrators.length > 0}>
        <Table
          label="Orchestrators"
          columns={orchestratorColumns({ onStart: (name) => (started.value = name), about: program, going })}
          rows={joined(known.orchestrators, counts?.orchestrators)}
          keyOf={keyOf}
        />
      </Section>
      <Section title="Activities" hasRows={known.activities.length > 0}>
        <Table
          label="Activities"
          columns={activityColumns(program)}
          rows={joined(known.activities, counts?.activities)}
          keyOf={keyOf}
        />
      </Section>
      {started.value !== null && <StartDialog name={started.value} onClose={() => (started.value = null)} />}
    </>
  );
}

/** What events, schedules and requests start. */
function Triggered({ known, counts }: Tables): JSX.Element {
  const byEvents = known.eventFunctions.map((one) => ({ name: one.name, program: `${one.trigger} ${one.source}` }));
  return (
    <>
      <Section title="Started by events" hasRows={byEvents.length > 0}>
        <Table
          label="Functions that events start"
          columns={triggeredColumns("Started by")}
          rows={joined(byEvents, counts?.eventFunctions)}
          keyOf={keyOf}
        />
      </Section>
      <Section title="Started by a schedule" hasRows={known.timers.length > 0}>
        <Timers timers={known.timers} counts={counts} />
      </Section>
      <Section title="Behind HTTP" hasRows={known.httpRoutes.length > 0}>
        <Table label="Functions behind HTTP" columns={HTTP_COLUMNS} rows={known.httpRoutes} keyOf={(one) => one.name} />
      </Section>
    </>
  );
}

function keyOf(row: { readonly name: string; readonly about: string }): string {
  return `${row.name} ${row.about}`;
}

function Section({
  title,
  hasRows,
  children,
}: {
  readonly title: string;
  readonly hasRows: boolean;
  readonly children: JSX.Element;
}): JSX.Element | null {
  if (!hasRows) return null;
  return (
    <section class="card" aria-label={title}>
      <header class="card-head">
        <h2>{title}</h2>
      </header>
      {children}
    </section>
  );
}

const HTTP_COLUMNS: readonly Column<Functions["httpRoutes"][number]>[] = [
  { id: "name", label: "Function", cell: (one) => <strong>{one.name}</strong> },
  { id: "methods", label: "Methods", cell: (one) => one.methods.join(", ") },
  { id: "path", label: "Path", isWide: true, cell: (one) => <code>{one.path}</code> },
  { id: "auth", label: "Open to", cell: (one) => one.auth },
];

interface TimersProps {
  readonly timers: readonly TimerFunctionInfo[];
  readonly counts: FunctionFigures | null;
}

function Timers({ timers, counts }: TimersProps): JSX.Element {
  const asked = useSignal<string | null>(null);
  const columns = [
    ...triggeredColumns("Schedule"),
    {
      id: "run",
      label: "Actions",
      isLabelHidden: true,
      isNumber: true,
      cell: (row: { readonly name: string }) => (
        <Button
          size="small"
          refusal={refusal("admin")}
          onClick={() => (asked.value = row.name)}
          label={`Run now: ${row.name}`}
        >
          Run now
        </Button>
      ),
    },
  ];
  const rows = joined(
    timers.map((one) => ({ name: one.name, program: scheduleText(one) })),
    counts?.timers,
  );
  const name = asked.value;
  return (
    <>
      <Table label="Functions that schedules start" columns={columns} rows={rows} keyOf={keyOf} />
      {name !== null && (
        <Confirmation
          title={`Run ${name} now?`}
          verb="Run now"
          act={() => post(`/admin/functions/${encodeURIComponent(name)}`, { input: "" })}
          onClose={() => (asked.value = null)}
        >
          <p>Its schedule stays what it is. A run that goes on already is waited for first.</p>
        </Confirmation>
      )}
    </>
  );
}

function scheduleText(one: TimerFunctionInfo): string {
  return `${one.schedule} ${one.zone ?? "UTC"}${one.runOnStartup ? ", and at each start" : ""}`;
}
