/** One action on many instances: a few at a time, with its progress, stoppable. Knows no page. */

import type { ApiError, Result } from "../../api/client";

const AT_A_TIME = 6;

export interface Progress {
  readonly done: number;
  readonly total: number;
  readonly failures: readonly { readonly id: string; readonly error: ApiError }[];
}

/** Does it to all of them; what fails does not hold up the rest. */
export async function toAll(
  ids: readonly string[],
  act: (id: string) => Promise<Result<unknown>>,
  onProgress: (progress: Progress) => void,
  isStopped: () => boolean = () => false,
): Promise<Progress> {
  const waiting = [...ids];
  let progress: Progress = { done: 0, total: ids.length, failures: [] };
  const runner = async () => {
    for (let id = waiting.shift(); id !== undefined && !isStopped(); id = waiting.shift()) {
      const answer = await act(id);
      const failures = answer.ok ? progress.failures : [...progress.failures, { id, error: answer.error }];
      progress = { ...progress, done: progress.done + 1, failures };
      onProgress(progress);
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, runner));
  return progress;
}
