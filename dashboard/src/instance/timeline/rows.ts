/** The rows of the timeline: steps in their order, children below their calls, many alike as one. Pure. */
import type { Microseconds, Run, Step } from "../shapes";

interface Common {
  /** Unlike all others on the page; kept as long as the step is there. */
  readonly path: string;
  readonly depth: number;
  /** Whose step it is. */
  readonly owner: string;
  readonly isExpanded: boolean;
}

export interface StepRow extends Common {
  readonly type: "step";
  readonly step: Step;
  readonly isExpandable: boolean;
}

/** Steps that were begun together and are alike. */
export interface GroupRow extends Common {
  readonly type: "group";
  readonly steps: readonly Step[];
}

export type Row = StepRow | GroupRow;

/** So many alike are shown as one row until somebody opens it. */
export const FEWEST_IN_GROUP = 8;

/**
 * The rows of a run.
 *
 * @param toggled Paths of rows that somebody opened or closed, against what they are at first.
 */
export function rowsOf(run: Run, toggled: ReadonlySet<string>): Row[] {
  const rows: Row[] = [];
  addRun(rows, run, toggled, 0, "");
  return rows;
}

function addRun(rows: Row[], run: Run, toggled: ReadonlySet<string>, depth: number, above: string): void {
  const owner = run.record.instanceId;
  for (const steps of alike(run.steps ?? [])) {
    const [first] = steps as [Step, ...Step[]];
    const path = `${above}/${first.number}`;
    if (steps.length < FEWEST_IN_GROUP) {
      for (const step of steps) addStep(rows, step, owner, toggled, depth, above);
      continue;
    }
    const isExpanded = toggled.has(`${path}*`);
    rows.push({ type: "group", path: `${path}*`, depth, owner, isExpanded, steps });
    if (isExpanded) for (const step of steps) addStep(rows, step, owner, toggled, depth + 1, above);
  }
}

function addStep(
  rows: Row[],
  step: Step,
  owner: string,
  toggled: ReadonlySet<string>,
  depth: number,
  above: string,
): void {
  const path = `${above}/${step.number}`;
  const isExpandable = step.kind === "orchestration" && step.instanceId != null;
  const isExpanded = isExpandable && toggled.has(path);
  rows.push({ type: "step", path, depth, owner, step, isExpandable, isExpanded });
  if (isExpanded && step.run) addRun(rows, step.run, toggled, depth + 1, path);
}

/** Steps next to each other that have one kind and name and were begun in one turn. */
function alike(steps: readonly Step[]): Step[][] {
  const groups: Step[][] = [];
  for (const step of steps) {
    const group = groups.at(-1);
    if (group?.[0] && isLike(group[0], step)) group.push(step);
    else groups.push([step]);
  }
  return groups;
}

function isLike(one: Step, other: Step): boolean {
  const isNamed = one.kind === other.kind && (one.name ?? "") === (other.name ?? "");
  return isNamed && one.begunAt === other.begunAt && one.kind !== "event" && one.kind !== "question";
}

export interface Tally {
  readonly completed: number;
  readonly failed: number;
  readonly open: number;
  readonly canceled: number;
}

/** How the steps of a group stand. */
export function tallyOf(steps: readonly Step[]): Tally {
  const count = (isCounted: (step: Step) => boolean): number => steps.filter(isCounted).length;
  return {
    completed: count((step) => step.state === "completed" || step.state === "unread"),
    failed: count((step) => step.state === "failed"),
    open: count((step) => isOpen(step)),
    canceled: count((step) => step.state === "canceled"),
  };
}

/** Whether something is still to come of a step. */
export function isOpen(step: Step): boolean {
  return step.state === "running" || step.state === "waiting" || step.state === "retrying";
}

/** When the last step of a group ended; null while one is open. */
export function endOf(steps: readonly Step[]): Microseconds | null {
  if (steps.some((step) => step.endedAt == null)) return null;
  return Math.max(...steps.map((step) => step.endedAt!));
}

/** Every step that is in a run and in what is read of its children. */
export function* allSteps(run: Run): Generator<Step> {
  for (const step of run.steps ?? []) {
    yield step;
    if (step.run) yield* allSteps(step.run);
  }
}
