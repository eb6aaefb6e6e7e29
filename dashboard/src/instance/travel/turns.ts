/** The turns of an instance in short, for the slider: page by page, more of them as it goes on. */

import { signal, type ReadonlySignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { get, type ApiError } from "../../api/client";
import type { TurnsPage, TurnSummary } from "../shapes";

const PAGE = 1_000;
/** Beyond these, a slider is of no use. */
const MOST = 100_000;

class TurnList {
  readonly list = signal<readonly TurnSummary[]>([]);
  readonly error = signal<ApiError | null>(null);
  readonly isReading = signal(false);
  private isWanted = false;
  private readonly stopping = new AbortController();

  constructor(private readonly id: string) {}

  stop(): void {
    this.stopping.abort();
  }

  async read(): Promise<void> {
    this.isWanted = true;
    if (this.isReading.value) return;
    this.isReading.value = true;
    while (this.isWanted) {
      this.isWanted = false;
      while (await this.readPage());
    }
    this.isReading.value = false;
  }

  /** Whether there may be more. */
  private async readPage(): Promise<boolean> {
    const after = this.list.value.at(-1)?.turn ?? 0;
    const path = `/admin/instances/${encodeURIComponent(this.id)}/turns`;
    const answer = await get<TurnsPage>(path, { after, limit: PAGE }, this.stopping.signal);
    if (this.stopping.signal.aborted) return false;
    this.error.value = answer.ok ? null : answer.error;
    if (!answer.ok || answer.value.turns.length === 0) return false;
    this.list.value = [...this.list.value, ...answer.value.turns];
    return answer.value.turns.length === PAGE && this.list.value.length < MOST;
  }
}

export function useTurns(id: string, changes: ReadonlySignal<number>, execution: string): TurnList {
  const turns = useMemo(() => new TurnList(id), [id, execution]);
  const count = changes.value;
  useEffect(() => void turns.read(), [turns, count]);
  useEffect(() => () => turns.stop(), [turns]);
  return turns;
}
