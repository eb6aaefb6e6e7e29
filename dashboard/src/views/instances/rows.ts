/**
 * The rows of a list under live updates: known rows change where they stand, new ones are counted, none jumps.
 *
 * Pure: who reads pages and listens is `list`.
 */

import type { InstanceRecord, Update } from "../../api/types";
import { areApart } from "../../beginnings";
import { inOrder } from "../../json_text";
import { isFinished, statusOf, type Status } from "../../statuses";
import { fits, type Filter, type Order } from "./filter";

export interface Row {
  readonly id: string;
  readonly name: string;
  readonly status: Status;
  readonly createdAt: number;
  readonly endedAt: number | null;
  readonly version: string | null;
  readonly holdReason: string | null;
  /** The last word on it: why it is held or failed, or the status that its code set. */
  readonly note: string;
  readonly isPurged: boolean;
}

const MOST_NEW = 5_000;

export class Rows {
  readonly all: Row[] = [];
  private readonly places = new Map<string, number>();
  /** With when each was created. */
  private readonly unseen = new Map<string, number>();

  /** How many instances would stand here if the list were read anew. */
  get newCount(): number {
    return this.unseen.size;
  }

  /** Whether there may be more: so many are not kept for a number that nobody reads to the last digit. */
  get hasManyNew(): boolean {
    return this.unseen.size >= MOST_NEW;
  }

  /** Those that are counted now. */
  newIds(): ReadonlySet<string> {
    return new Set(this.unseen.keys());
  }

  /** A row by its id, if it was read. */
  get(id: string): Row | undefined {
    const place = this.places.get(id);
    return place === undefined ? undefined : this.all[place];
  }

  clear(): void {
    this.all.length = 0;
    this.places.clear();
    this.unseen.clear();
  }

  /** Takes a page; rows that are there already are brought up to date. */
  add(records: readonly InstanceRecord[]): void {
    for (const record of records) this.put(rowOf(record));
  }

  /** Takes the first page once more: what it has that is not here, and would stand above the last row, is new. */
  refresh(records: readonly InstanceRecord[], order: Order): void {
    for (const record of records) {
      if (this.places.has(record.instanceId)) this.put(rowOf(record));
      else if (this.isAbove(order, record.createdAt, record.completedAt ?? null))
        this.note(record.instanceId, record.createdAt);
    }
  }

  /**
   * Counts those no longer that do not stand here any more, as far as a first page tells.
   *
   * @param before Those that were counted before it was asked for: of later ones it knows nothing.
   */
  leave(
    before: ReadonlySet<string>,
    records: readonly InstanceRecord[],
    page: { readonly order: Order; readonly isWhole: boolean },
  ): void {
    const last = records.at(-1);
    const isTold = (createdAt: number): boolean =>
      page.isWhole || (page.order === "newest" && last !== undefined && createdAt > last.createdAt + 1_000);
    const here = new Set(records.map((record) => record.instanceId));
    for (const [id, createdAt] of this.unseen)
      if (before.has(id) && !here.has(id) && isTold(createdAt)) this.unseen.delete(id);
  }

  private note(id: string, createdAt: number): void {
    if (this.unseen.size < MOST_NEW) this.unseen.set(id, createdAt);
  }

  /**
   * Whether rows may be other than they stand here, as these that were read are all that is known now.
   *
   * @param isLong Whether much may have happened: then those that had ended may be gone, too.
   */
  isBehind(read: readonly InstanceRecord[], isLong: boolean): boolean {
    const known = new Set(read.map((record) => record.instanceId));
    return this.all.some((row) => !known.has(row.id) && !row.isPurged && (isLong || !isFinished(row.status)));
  }

  /** Takes live updates. True when a row or the count of new ones has changed. */
  update(updates: readonly Update[], filter: Filter, now: number): boolean {
    let hasChanged = false;
    for (const one of updates) {
      const place = this.places.get(one.instanceId);
      if (place !== undefined) {
        this.all[place] = updated(this.all[place] as Row, one);
        hasChanged = true;
      } else if (!one.purged && this.isNew(one, filter, now)) {
        hasChanged = hasChanged || !this.unseen.has(one.instanceId);
        this.note(one.instanceId, moment(one.createdTime));
      } else if (this.unseen.delete(one.instanceId)) {
        hasChanged = true;
      }
    }
    return hasChanged;
  }

  private put(row: Row): void {
    const place = this.places.get(row.id);
    this.unseen.delete(row.id);
    if (place !== undefined) {
      this.all[place] = row;
    } else {
      this.places.set(row.id, this.all.length);
      this.all.push(row);
    }
  }

  /** An instance further down, whose page was not read, is not new: only what would stand above the last row is. */
  private isNew(one: Update, filter: Filter, now: number): boolean {
    const createdAt = moment(one.createdTime);
    const seen = {
      id: one.instanceId,
      name: one.name,
      status: one.runtimeStatus as Status,
      createdAt,
      isHeld: one.hold != null,
    };
    if (!fits(filter, seen, now)) return false;
    return this.isAbove(filter.order, createdAt, one.ended ? moment(one.lastUpdatedTime) : null);
  }

  private isAbove(order: Order, createdAt: number, endedAt: number | null): boolean {
    const last = this.all.at(-1);
    if (!last) return true;
    switch (order) {
      case "newest":
        return createdAt > last.createdAt;
      case "last_completed":
        return endedAt !== null && endedAt > (last.endedAt ?? 0);
      default:
        return false;
    }
  }
}

function rowOf(record: InstanceRecord): Row {
  return {
    id: record.instanceId,
    name: record.name,
    status: statusOf(record),
    createdAt: record.createdAt,
    endedAt: record.completedAt ?? null,
    version: record.version ?? null,
    holdReason: record.hold?.reason ?? null,
    note: noteOf(record.hold?.message, record.failure?.errorMessage, record.customStatus),
    isPurged: false,
  };
}

function updated(row: Row, one: Update): Row {
  if (one.purged) return { ...row, isPurged: true };
  const status = one.runtimeStatus as Status;
  const createdAt = moment(one.createdTime);
  const isOther = areApart(createdAt, row.createdAt);
  const custom = one.customStatus === null || one.customStatus === undefined ? null : JSON.stringify(one.customStatus);
  return {
    ...row,
    ...(isOther && { name: one.name, createdAt, version: null }),
    status,
    endedAt: isFinished(status) ? moment(one.lastUpdatedTime) : null,
    holdReason: one.hold?.reason ?? null,
    note: noteOf(one.hold?.message, one.failure?.errorMessage, custom),
    isPurged: false,
  };
}

function noteOf(
  hold: string | undefined,
  failure: string | undefined,
  customStatus: string | null | undefined,
): string {
  const text = hold ?? failure ?? withoutQuotes(customStatus ?? "");
  return inOrder(text.slice(0, 300));
}

function withoutQuotes(json: string): string {
  if (json === "null") return "";
  return /^"[^"\\]*"$/.test(json) ? json.slice(1, -1) : json;
}

/** ISO 8601 to microseconds; the list needs no more than milliseconds of it. */
function moment(text: string): number {
  return Date.parse(text) * 1000;
}
