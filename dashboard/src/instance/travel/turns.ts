/** The turns of an instance in short, for the slider: page by page, more of them as it goes on. */

import { signal, type ReadonlySignal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { get } from "../../api/client";
import { ReadingOn, useReadingOn } from "../reading_on";
import type { TurnsPage, TurnSummary } from "../shapes";

const PAGE = 1_000;
/** Beyond these, a slider is of no use. */
const MOST = 100_000;

class TurnList extends ReadingOn {
  readonly list = signal<readonly TurnSummary[]>([]);

  protected async readPages(): Promise<void> {
    while (await this.readPage());
  }

  /** Whether there may be more. */
  private async readPage(): Promise<boolean> {
    const after = this.list.value.at(-1)?.turn ?? 0;
    const path = `/admin/instances/${encodeURIComponent(this.id)}/turns`;
    const answer = await this.page((signal) => get<TurnsPage>(path, { after, limit: PAGE }, signal));
    if (answer === null || answer.value.turns.length === 0) return false;
    this.list.value = [...this.list.value, ...answer.value.turns];
    return answer.value.turns.length === PAGE && this.list.value.length < MOST;
  }
}

export function useTurns(id: string, changes: ReadonlySignal<number>, execution: string): TurnList {
  const turns = useMemo(() => new TurnList(id), [id, execution]);
  const count = changes.value;
  useReadingOn(turns, count);
  return turns;
}
