/** Failures as people read them: the chain of causes, the first one last. */
import { inOrder } from "../json_text";
import type { FailureDetails } from "./shapes";

export interface Cause {
  title: string;
  message: string;
  trace: string | null;
  /** What stands between this one and the one above it. */
  joint: string;
  readonly notes: readonly string[];
}

/** A failure and what led to it. */
export function causesOf(failure: FailureDetails): Cause[] {
  const causes: Cause[] = [];
  let joint = "";
  for (let link: FailureDetails | null | undefined = failure; link; link = link.innerFailure) {
    causes.push({
      title: inOrder(link.errorType),
      message: inOrder(link.errorMessage),
      trace: link.stackTrace ?? null,
      joint,
      notes: link.notes ?? [],
    });
    joint = link.whileHandling ? "raised while handling" : "caused by";
    if (link.omitted) joint = `${joint} (${link.omitted} causes between are left out)`;
  }
  return causes;
}

/** A failure in one line: what went wrong in the first place. */
export function headline(failure: FailureDetails): string {
  return inOrder(`${failure.errorType}: ${failure.errorMessage}`);
}
