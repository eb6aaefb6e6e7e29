/** Reads the pages of a list as they are needed, and keeps what was read up to date. */

import { signal, type ReadonlySignal } from "@preact/signals";
import { listInstances } from "../../api/instances";
import { Keeper, type Cause } from "../../api/freshness";
import { watchHub } from "../../api/live";
import { isoText } from "../../formatting";
import type { ApiError, Parameters } from "../../api/client";
import type { InstanceRecord } from "../../api/types";
import { parametersOf, type Filter } from "./filter";
import { Rows } from "./rows";

const PAGE = 200;
/** Fields of a payload are not shown in a list. */
const PAYLOADS = false;

export class InstanceList {
  readonly rows = new Rows();
  /** Grows whenever rows have changed: what renders them reads it. */
  readonly version = signal(0);
  /** Grows when the list begins anew, with its first row. */
  readonly beginnings = signal(0);
  readonly newCount = signal(0);
  readonly error = signal<ApiError | null>(null);
  readonly isLoading = signal(false);
  /** True when the last page has been read. */
  readonly isComplete = signal(false);
  /** True when changes of rows that are here were missed. */
  readonly isStale = signal(false);
  /** True when there may be more new ones than are counted: a whole page is new. */
  readonly isMany = signal(false);
  /** How far it was scrolled when it was left. */
  scrolledTo = 0;
  private keeper = this.newKeeper();
  private after: string | null = null;
  private pages = 0;
  private stopping = new AbortController();
  private stopListening: () => void = () => undefined;
  /** So many have changed that it was not told which. */
  private mayMiss = false;

  constructor(private readonly filter: Filter) {}

  /** Whether the first page is as the host has it now. */
  get isFresh(): ReadonlySignal<boolean> {
    return this.keeper.isFresh;
  }

  /** From now on; what was read before is compared with what there is now. */
  start(): void {
    this.stopping = new AbortController();
    this.isLoading.value = false;
    this.keeper = this.newKeeper();
    this.stopListening = watchHub({
      onUpdates: (updates) => {
        if (this.pages > 0 && this.rows.update(updates, this.filter, Date.now() * 1000)) this.changed();
      },
      onDigest: (digest) => {
        this.mayMiss = true;
        if (digest.purged > 0) this.isStale.value = true;
        this.keeper.stir();
      },
    });
    this.keeper.start();
  }

  stop(): void {
    this.stopListening();
    this.keeper.stop();
    this.stopping.abort();
  }

  /** Forgets what was read and begins with the first page. */
  async readAnew(): Promise<boolean> {
    this.stopping.abort();
    this.stopping = new AbortController();
    this.after = null;
    this.pages = 0;
    this.isLoading.value = false;
    this.isComplete.value = false;
    this.isStale.value = false;
    this.isMany.value = false;
    return this.readPage();
  }

  private newKeeper(): Keeper {
    return new Keeper((cause) => this.refresh(cause));
  }

  /** Reads the next page, unless there is none or one is under way. */
  async more(): Promise<void> {
    if (this.pages > 0 && !this.isComplete.value && this.error.value === null) await this.readPage();
  }

  /** Tries once more what could not be read. */
  readonly reload = (): void => {
    if (this.pages === 0) this.keeper.ask();
    else void this.readPage();
  };

  private async readPage(): Promise<boolean> {
    if (this.isLoading.value) return false;
    this.isLoading.value = true;
    const { signal: stopped } = this.stopping;
    const answer = await this.ask(this.after, stopped);
    if (stopped.aborted) return false;
    this.isLoading.value = false;
    this.error.value = answer.ok ? null : answer.error;
    if (!answer.ok) return false;
    if (this.pages === 0) {
      this.rows.clear();
      this.scrolledTo = 0;
      this.beginnings.value += 1;
    }
    this.pages += 1;
    this.after = answer.value.after;
    this.isComplete.value = answer.value.after === null;
    this.rows.add(answer.value.records);
    this.changed();
    return true;
  }

  /**
   * Reads the first page once more. Rows that are known change where they stand; after a gap in the live updates, or
   * when too many have changed to be told, those too that are not on it any more, as far as they can be found.
   */
  private async refresh(cause: Cause): Promise<boolean> {
    if (this.pages === 0 || this.rows.all.length === 0) return this.readAnew();
    const { signal: stopped } = this.stopping;
    const { mayMiss } = this;
    this.mayMiss = false;
    const isDone = await this.readFirst(mayMiss, cause, stopped);
    // What could not be read is owed, until it was.
    if (!isDone) this.mayMiss ||= mayMiss;
    return isDone;
  }

  private async readFirst(mayMiss: boolean, cause: Cause, stopped: AbortSignal): Promise<boolean> {
    const before = this.rows.newIds();
    const answer = await this.ask(null, stopped);
    if (stopped.aborted) return false;
    this.error.value = answer.ok ? null : answer.error;
    if (!answer.ok) return false;
    const { records, after } = answer.value;
    if (after !== null && !records.some((record) => this.rows.get(record.instanceId))) this.isMany.value = true;
    this.rows.refresh(records, this.filter.order);
    this.rows.leave(before, records, { order: this.filter.order, isWhole: after === null });
    if ((mayMiss || cause === "gap") && !(await this.catchUp(records, cause, stopped))) return false;
    this.changed();
    return true;
  }

  /** Reads the rows, too, that newer ones have pushed off the first page; says so when some could not be found. */
  private async catchUp(read: readonly InstanceRecord[], cause: Cause, stopped: AbortSignal): Promise<boolean> {
    const top = this.rows.all[0];
    let found = read;
    if (top && this.filter.order === "newest" && this.rows.isBehind(found, cause === "gap")) {
      const answer = await this.ask(null, stopped, { createdTo: isoText(top.createdAt + 1) });
      if (stopped.aborted || !answer.ok) return false;
      this.rows.refresh(answer.value.records, this.filter.order);
      found = [...found, ...answer.value.records];
    }
    if (this.rows.isBehind(found, cause === "gap")) this.isStale.value = true;
    return true;
  }

  private ask(after: string | null, stopped: AbortSignal, narrowed: Parameters = {}) {
    const parameters = { ...parametersOf(this.filter, Date.now() * 1000), ...narrowed };
    return listInstances({ ...parameters, after, limit: PAGE, payloads: PAYLOADS }, stopped);
  }

  private changed(): void {
    this.newCount.value = this.rows.newCount;
    if (this.rows.hasManyNew) this.isMany.value = true;
    this.version.value += 1;
  }
}

const MOST_KEPT = 4;
const kept = new Map<string, InstanceList>();

/** The list of an address: who comes back to it finds it as it was left, with its pages and its place. */
export function listFor(key: string, filter: Filter): InstanceList {
  const list = kept.get(key) ?? new InstanceList(filter);
  kept.delete(key);
  kept.set(key, list);
  for (const old of [...kept.keys()].slice(0, -MOST_KEPT)) kept.delete(old);
  return list;
}
