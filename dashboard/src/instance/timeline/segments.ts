/** What is drawn for one step: bars for what runs and waits, marks for moments. Pure. */
import type { FailureDetails, Microseconds, Step, StepState } from "../shapes";

export type SegmentKind = "work" | "pause" | "wait";
export type Outcome = "running" | "completed" | "failed" | "canceled";

/** A bar. `to` is null while it goes on. */
export interface Segment {
  readonly kind: SegmentKind;
  readonly outcome: Outcome;
  readonly from: Microseconds;
  readonly to: Microseconds | null;
  readonly attempt: number;
  readonly failure?: FailureDetails | null;
}

/** A moment. */
export interface Mark {
  readonly kind: "due" | "arrived" | "sent";
  readonly at: Microseconds;
}

export interface Drawing {
  readonly segments: readonly Segment[];
  readonly marks: readonly Mark[];
}

/** The bars and marks of a step. */
export function drawingOf(step: Step): Drawing {
  if (step.kind === "message") return { segments: [], marks: [{ kind: "sent", at: step.begunAt }] };
  if (step.kind === "event" && step.number < 0) return { segments: [], marks: [{ kind: "arrived", at: step.begunAt }] };
  if (step.kind === "activity" || step.kind === "orchestration") return { segments: ofCall(step), marks: dueOf(step) };
  const hasArrived = step.endedAt != null && step.state === "completed" && step.kind !== "timer";
  return {
    segments: [bar("wait", outcomeOf(step.state), step.begunAt, step.endedAt, 1)],
    marks: [...dueOf(step), ...(hasArrived ? [{ kind: "arrived" as const, at: step.endedAt! }] : [])],
  };
}

/** All times at which something of the step changes. */
export function marksOf(step: Step): Microseconds[] {
  const { segments, marks } = drawingOf(step);
  const ends = segments.flatMap((segment) => (segment.to === null ? [segment.from] : [segment.from, segment.to]));
  return [...ends, ...marks.filter((mark) => mark.kind !== "due").map((mark) => mark.at)];
}

function bar(
  kind: SegmentKind,
  outcome: Outcome,
  from: Microseconds,
  to: Microseconds | null | undefined,
  attempt: number,
  failure?: FailureDetails | null,
): Segment {
  return { kind, outcome, from, to: to ?? null, attempt, failure: failure ?? null };
}

/** Attempts one after the other, with the pauses between them. */
function ofCall(step: Step): Segment[] {
  const attempts = step.attempts ?? [];
  if (attempts.length === 0) {
    const kind = step.state === "waiting" ? "wait" : "work";
    const outcome = outcomeOf(step.state);
    return [bar(kind, outcome, step.begunAt, step.endedAt, step.attempt ?? 1, step.failure)];
  }
  const segments: Segment[] = [];
  attempts.forEach((attempt, index) => {
    const next = attempts[index + 1];
    const isLast = next === undefined;
    const outcome = attempt.failure ? "failed" : isLast ? outcomeOf(step.state) : "failed";
    const kind = isLast && step.state === "waiting" ? "wait" : "work";
    const to = attempt.endedAt ?? (isLast ? step.endedAt : next.begunAt);
    segments.push(bar(kind, outcome, attempt.begunAt, to, attempt.attempt, attempt.failure));
    if (next !== undefined && to != null && next.begunAt > to)
      segments.push(bar("pause", "running", to, next.begunAt, attempt.attempt + 1));
  });
  const last = segments.at(-1)!;
  if (step.state === "retrying" && last.to !== null)
    segments.push(bar("pause", "running", last.to, null, last.attempt + 1));
  return segments;
}

function outcomeOf(state: StepState): Outcome {
  if (state === "completed" || state === "unread") return "completed";
  return state === "failed" || state === "canceled" ? state : "running";
}

/** When a wait ends by itself; of a timer that has fired, its end says it. */
function dueOf(step: Step): Mark[] {
  const isOpen = step.endedAt == null;
  return step.dueAt != null && isOpen ? [{ kind: "due", at: step.dueAt }] : [];
}
