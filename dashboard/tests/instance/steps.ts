/** Steps and runs for tests. */
import type { Run, Step } from "../../src/instance/shapes";

export function step(number: number, changes: Partial<Step> = {}): Step {
  return { number, kind: "activity", name: "greet", state: "completed", begunAt: 0, changedAt: 0, ...changes };
}

export function run(steps: Step[], changes: Partial<Run["record"]> = {}): Run {
  const record = {
    instanceId: "tour-1",
    name: "tour",
    status: "Running",
    createdAt: 0,
    updatedAt: 0,
    executionId: "e1",
  };
  return { record: { ...record, ...changes }, steps };
}
