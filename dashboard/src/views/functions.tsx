/** The functions of this host, with what they did since it started. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { get, post } from "../api/client";
import { useResource } from "../api/resource";
import { refusal } from "../api/session";
import type { FunctionFigures, Functions, TimerFunctionInfo } from "../api/types";
import { Button } from "../parts/button";
import { Confirmation } from "../parts/dialog";
import { ErrorNote } from "../parts/error_note";
import { Table, type Column } from "../parts/table";
import { Time } from "../parts/time";
import { ViewHead } from "../parts/view_head";
import { StartDialog } from "./start/start_dialog";
import { activityColumns, activityRows, orchestratorColumns, orchestratorRows } from "./function_figures";

const OFTEN = 3000;

export function FunctionsView(): JSX.Element {
  const functions = useResource("functions", () => get<Functions>("/admin/functions"));
  const figures = useResource("figures", () => get<FunctionFigures>("/admin/functions/figures"), { every: OFTEN });
  const started = useSignal<string | null>(null);
  const known = functions.value.value;
  const counts = figures.value.value;
  const triggers = new Map((known?.eventFunctions ?? []).map((one) => [one.name, `${one.trigger} ${one.source}`]));
  return (
    <>
      <ViewHead title="Functions" about="What this host can run, and what it did since its start." />
      {functions.error.value && functions.error.value.status !== 0 && (
        <ErrorNote error={functions.error.value} retry={functions.reload} />
      )}
      {counts && (
        <p class="quiet-text">
          Figures of this host since <Time at={counts.since} look="exact" />.
        </p>
      )}
      <Section title="Orchestrators" hasRows={(known?.orchestrators.length ?? 0) > 0}>
        <Table
          label="Orchestrators"
          columns={orchestratorColumns((name) => (started.value = name))}
          rows={orchestratorRows(known?.orchestrators ?? [], counts)}
          keyOf={keyOf}
        />
      </Section>
      <Section title="Activities" hasRows={(known?.activities.length ?? 0) > 0}>
        <Table
          label="Activities"
          columns={activityColumns("Program")}
          rows={activityRows(known?.activities ?? [], counts?.activities)}
          keyOf={keyOf}
        />
      </Section>
      <Section title="Started by events" hasRows={(known?.eventFunctions.length ?? 0) > 0}>
        <Table
          label="Functions that events start"
          columns={activityColumns("Started by")}
          rows={activityRows(
            (known?.eventFunctions ?? []).map((one) => ({ name: one.name, program: triggers.get(one.name) ?? "" })),
            counts?.eventFunctions,
          )}
          keyOf={keyOf}
        />
      </Section>
      <Section title="Started by a schedule" hasRows={(known?.timers.length ?? 0) > 0}>
        <Timers timers={known?.timers ?? []} />
      </Section>
      <Section title="Behind HTTP" hasRows={(known?.httpRoutes.length ?? 0) > 0}>
        <Table
          label="Functions behind HTTP"
          columns={HTTP_COLUMNS}
          rows={known?.httpRoutes ?? []}
          keyOf={(one) => one.name}
        />
      </Section>
      {started.value !== null && <StartDialog name={started.value} onClose={() => (started.value = null)} />}
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

function Timers({ timers }: { readonly timers: readonly TimerFunctionInfo[] }): JSX.Element {
  const asked = useSignal<string | null>(null);
  const columns: readonly Column<TimerFunctionInfo>[] = [
    { id: "name", label: "Function", cell: (one) => <strong>{one.name}</strong> },
    { id: "schedule", label: "Schedule", isWide: true, cell: (one) => <code>{one.schedule}</code> },
    { id: "zone", label: "Zone", cell: (one) => one.zone ?? "UTC" },
    { id: "startup", label: "At the start, too", cell: (one) => (one.runOnStartup ? "yes" : "no") },
    {
      id: "run",
      label: "Actions",
      isLabelHidden: true,
      isNumber: true,
      cell: (one) => (
        <Button
          size="small"
          refusal={refusal("admin")}
          onClick={() => (asked.value = one.name)}
          label={`Run ${one.name} now`}
        >
          Run now
        </Button>
      ),
    },
  ];
  const name = asked.value;
  return (
    <>
      <Table label="Functions that schedules start" columns={columns} rows={timers} keyOf={(one) => one.name} />
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
