/** A step by its path: the numbers of the calls that lead to it. Pure. */
import type { Run, Step } from "../shapes";

export interface Found {
  readonly step: Step;
  /** Whose step it is. */
  readonly owner: string;
  readonly execution: string | undefined;
}

/** The step at a path such as `/8/3`; null when it is not there, or not read. */
export function found(run: Run, path: string): Found | null {
  const numbers = path.split("/").slice(1).map(Number);
  let at: Run | null | undefined = run;
  let result: Found | null = null;
  for (const number of numbers) {
    const step: Step | undefined = at?.steps?.find((one) => one.number === number);
    if (!step || !at) return null;
    result = { step, owner: at.record.instanceId, execution: at.record.executionId };
    at = step.run;
  }
  return result;
}
