/** Functions and their figures in one row each, and the columns that show them. */

import type { ComponentChildren } from "preact";
import { refusal } from "../api/session";
import type { ActivityFigures, LastFailure, OrchestratorFigures } from "../api/types";
import { capitalised, countText, spanText } from "../formatting";
import { Button } from "../parts/button";
import type { Column } from "../parts/table";
import { Time } from "../parts/time";
import type { Going } from "./going";
import { addressOf, instanceAddress } from "../router";

interface Named {
  readonly name: string;
  readonly program: string;
}

export interface Row<F> {
  readonly name: string;
  /** Its program, or what starts it. */
  readonly about: string;
  readonly figures: F | null;
}

/** Each function with what it did; nothing of those that never ran. */
export function joined<F extends { readonly name: string }>(
  known: readonly Named[],
  figures: readonly F[] = [],
): readonly Row<F>[] {
  const byName = new Map(figures.map((one) => [one.name, one]));
  return known.map((one) => ({ name: one.name, about: one.program, figures: byName.get(one.name) ?? null }));
}

/** Whether it is worth a column where functions come from: not in an app that has its own alone. */
export function hasForeign(known: readonly Named[]): boolean {
  return known.some((one) => one.program !== "native");
}

export interface OrchestratorColumns {
  readonly onStart: (name: string) => void;
  /** What the column of programs is called; null for none. */
  readonly about: string | null;
  readonly going: Going | null;
}

export function orchestratorColumns({
  onStart,
  about,
  going,
}: OrchestratorColumns): readonly Column<Row<OrchestratorFigures>>[] {
  return [
    {
      id: "name",
      label: "Orchestrator",
      isWide: true,
      cell: (row) => <a href={addressOf("instances", { name: row.name })}>{row.name}</a>,
    },
    ...aboutColumn<OrchestratorFigures>(about),
    {
      id: "going",
      label: "Not ended",
      title: "Instances of the whole hub that have not ended now: pending, running, suspended and held ones",
      isNumber: true,
      cell: (row) => goingCell(row.name, going),
    },
    number("started", "Started", `Instances that began ${HERE}`, (figures: OrchestratorFigures) => figures.started),
    number(
      "completed",
      "Completed",
      `Instances that ended so ${HERE}`,
      (figures: OrchestratorFigures) => figures.completed,
    ),
    number(
      "failed",
      "Failed",
      `Instances that ended so ${HERE}, also such as began before`,
      (figures: OrchestratorFigures) => figures.failed,
    ),
    number(
      "terminated",
      "Terminated",
      `Instances that ended so ${HERE}`,
      (figures: OrchestratorFigures) => figures.terminated,
    ),
    ...spans<OrchestratorFigures>("from start to end, waits included"),
    lastFailure<OrchestratorFigures>(),
    {
      id: "start",
      label: "Actions",
      isLabelHidden: true,
      isNumber: true,
      cell: (row) => (
        <Button size="small" refusal={refusal("operate")} onClick={() => onStart(row.name)} label={`Start ${row.name}`}>
          Start
        </Button>
      ),
    },
  ];
}

const HERE = "on this host since its start";

export function activityColumns(about: string | null): readonly Column<Row<ActivityFigures>>[] {
  return [
    { id: "name", label: "Activity", isWide: true, cell: (row) => <strong>{row.name}</strong> },
    ...aboutColumn<ActivityFigures>(about),
    number("running", "Running", "Attempts that run on this host now", (figures: ActivityFigures) => figures.running),
    number(
      "queued",
      "Queued",
      "Attempts that wait for room on this host now",
      (figures: ActivityFigures) => figures.queued,
    ),
    ...attempts(),
    number("retried", "Repeats", `Attempts after a first one, ${HERE}`, (figures: ActivityFigures) => figures.retried),
    ...spans<ActivityFigures>("of an attempt"),
    lastFailure<ActivityFigures>(),
  ];
}

/** Of functions that events and schedules start: nobody measures more of them. */
export function triggeredColumns(about: string): readonly Column<Row<ActivityFigures>>[] {
  return [
    { id: "name", label: "Function", isWide: true, cell: (row) => <strong>{row.name}</strong> },
    ...aboutColumn<ActivityFigures>(about),
    ...attempts(),
    number("retried", "Repeats", `Attempts after a first one, ${HERE}`, (figures: ActivityFigures) => figures.retried),
    lastFailure<ActivityFigures>(),
  ];
}

function attempts(): readonly Column<Row<ActivityFigures>>[] {
  return [
    number(
      "completed",
      "Completed attempts",
      `Attempts that succeeded ${HERE}`,
      (figures: ActivityFigures) => figures.completed,
    ),
    number(
      "failed",
      "Failed attempts",
      `${HERE}; what is tried three times counts three times`,
      (figures: ActivityFigures) => figures.failed,
    ),
  ];
}

function goingCell(name: string, going: Going | null): ComponentChildren {
  if (going === null) return "–";
  const count = going.counts.get(name) ?? 0;
  return (
    <a href={addressOf("instances", { name, status: "pending,running,suspended" })}>
      {going.isCut && "at least "}
      {figure("going", count)}
    </a>
  );
}

function aboutColumn<F>(label: string | null): readonly Column<Row<F>>[] {
  return label === null ? [] : [{ id: "about", label, cell: (row) => row.about }];
}

function number<F>(id: string, label: string, title: string, valueOf: (figures: F) => number | null): Column<Row<F>> {
  return {
    id,
    label,
    title: capitalised(title),
    isNumber: true,
    cell: (row) => figure(id, row.figures && valueOf(row.figures)),
  };
}

/** Failures stand out, noughts step back. */
function figure(id: string, value: number | null): ComponentChildren {
  if (value === null) return "–";
  const kind = value === 0 ? "none" : id === "failed" ? "failed" : "";
  return <span class={`count ${kind}`}>{countText(value)}</span>;
}

interface Spans {
  readonly meanSeconds: number | null;
  readonly slowestSeconds: number | null;
}

function spans<F extends Spans>(of: string): readonly Column<Row<F>>[] {
  const text = (seconds: number | null | undefined): ComponentChildren =>
    seconds == null ? "–" : <span class="time">{spanText(seconds)}</span>;
  return [
    { id: "mean", label: "Mean", title: `Mean ${of}`, isNumber: true, cell: (row) => text(row.figures?.meanSeconds) },
    {
      id: "slowest",
      label: "Slowest",
      title: `The longest ${of}`,
      isNumber: true,
      cell: (row) => text(row.figures?.slowestSeconds),
    },
  ];
}

function lastFailure<F extends { readonly lastFailure: LastFailure | null }>(): Column<Row<F>> {
  return {
    id: "last-failure",
    label: "Last failure",
    cell: (row) => {
      const failure = row.figures?.lastFailure;
      if (!failure) return "–";
      return (
        <span class="last-failure" title={failure.message}>
          {failure.instanceId ? (
            <a href={instanceAddress(failure.instanceId)}>
              <Time at={failure.at} />
            </a>
          ) : (
            <Time at={failure.at} />
          )}{" "}
          <span class="quiet-text">{failure.message}</span>
        </span>
      );
    },
  };
}
