/**
 * The history of an instance as far as it was read: page by page, in the order of its turns.
 *
 * The last page is read again when the instance has done something; its new turns are added. Payloads of a long history
 * take memory: beyond a limit the next pages are read only when somebody asks for them.
 */

import { signal, useComputed, type ReadonlySignal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { request } from "../../api/client";
import { ReadingOn, useReadingOn } from "../reading_on";
import type { HistoryEvent } from "../shapes";
import { HistoryRows } from "./events";

type Turns = readonly (readonly HistoryEvent[])[];

export const READ_AT_FIRST = 100_000;

export class HistoryStore extends ReadingOn {
  /** A new value each time there are more rows; the rows themselves are the same object. */
  readonly version = signal(0);
  readonly isComplete = signal(false);
  rows = new HistoryRows();
  private token = "";
  private turnsBefore = 0;
  private most = READ_AT_FIRST;
  private executionId: string | undefined;

  /** Goes on where it was left off. */
  readMore(): Promise<void> {
    this.most += READ_AT_FIRST;
    return this.read();
  }

  protected async readPages(): Promise<void> {
    let isLast = false;
    while (!isLast && this.rows.rows.length < this.most) {
      const page = await this.readPage();
      if (page === "failed") return;
      isLast = page === "last";
    }
    this.isComplete.value = isLast;
  }

  private async readPage(): Promise<"more" | "last" | "failed"> {
    // Not as a query value: an empty one has a meaning here, the first page.
    const path = `/admin/instances/${encodeURIComponent(this.id)}/history?after=${encodeURIComponent(this.token)}`;
    const answer = await this.page((signal) => request<Turns>("GET", path, { signal }));
    if (answer === null) return "failed";
    this.take(answer.value);
    if (answer.next === null) return "last";
    this.token = answer.next;
    this.turnsBefore = this.rows.turns;
    return "more";
  }

  private take(turns: Turns): void {
    if (this.token === "" && this.startsAnew(turns)) this.rows = new HistoryRows();
    const known = this.rows.turns - this.turnsBefore;
    if (turns.length <= known && this.rows.turns > 0) return;
    this.rows.add(turns.slice(known));
    this.version.value += 1;
  }

  /** After a restart or a continue-as-new there is another history under the same id. */
  private startsAnew(turns: Turns): boolean {
    const started = turns[0]?.find((event) => event.type === "ExecutionStarted");
    const executionId = `${started?.["executionId"]} ${started?.["generation"] ?? 0}`;
    const isOther = executionId !== this.executionId;
    this.executionId = executionId;
    return isOther;
  }
}

/** The history of an instance, read when it is first needed and again after each change. */
export function useHistory(id: string, changes: ReadonlySignal<number>, execution: string | undefined): HistoryStore {
  const store = useMemo(() => new HistoryStore(id), [id, execution]);
  const count = useComputed(() => changes.value).value;
  useReadingOn(store, count);
  return store;
}
