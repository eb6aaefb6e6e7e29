/** Lists whose pages follow each other when asked for: the first is read by itself, and all are kept up to date. */

import { useSignal, type ReadonlySignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { ApiError, Result } from "../api/client";
import { useKeeper, type Freshness } from "../api/freshness";

export interface Page<T> {
  readonly rows: readonly T[];
  /** What asks for the next page; null at the end. */
  readonly after: string | null;
}

export interface Paged<T> {
  readonly rows: ReadonlySignal<readonly T[] | null>;
  readonly error: ReadonlySignal<ApiError | null>;
  readonly hasMore: ReadonlySignal<boolean>;
  readonly isLoading: ReadonlySignal<boolean>;
  /** Whether the rows are as the host has them now: only then "there are none" may be said. */
  readonly isFresh: ReadonlySignal<boolean>;
  readonly more: () => void;
  readonly reload: () => void;
}

/** Reads pages with `load`; when `key` changes, from the start. */
export function usePaged<T>(
  key: string,
  load: (after: string | null) => Promise<Result<Page<T>>>,
  freshness: Freshness = {},
): Paged<T> {
  const rows = useSignal<readonly T[] | null>(null);
  const error = useSignal<ApiError | null>(null);
  const hasMore = useSignal(false);
  const isLoading = useSignal(false);
  const life = useRef(0);
  const pages = useRef(1);
  useEffect(() => {
    life.current += 1;
    pages.current = 1;
    rows.value = null;
    error.value = null;
    return () => {
      life.current += 1;
    };
  }, [key]);
  const keeper = useKeeper(
    key,
    async () => {
      const mine = life.current;
      isLoading.value = true;
      const answer = await readPages(load, pages.current);
      if (mine !== life.current) return false;
      isLoading.value = false;
      error.value = answer.ok ? null : answer.error;
      if (!answer.ok) return false;
      if (!isSame(rows.value, answer.value.rows)) rows.value = answer.value.rows;
      hasMore.value = answer.value.after !== null;
      return true;
    },
    freshness,
  );
  const more = () => {
    pages.current += 1;
    keeper.ask();
  };
  return { rows, error, hasMore, isLoading, isFresh: keeper.isFresh, more, reload: () => keeper.ask() };
}

/** So many pages from the first on, as one. */
async function readPages<T>(
  load: (after: string | null) => Promise<Result<Page<T>>>,
  count: number,
): Promise<Result<Page<T>>> {
  let answer = await load(null);
  for (let page = 1; page < count && answer.ok && answer.value.after !== null; page++) {
    const { rows } = answer.value;
    const next = await load(answer.value.after);
    answer = next.ok ? { ...next, value: { rows: [...rows, ...next.value.rows], after: next.value.after } } : next;
  }
  return answer;
}

/** What is the same is not shown anew: it may be of use to somebody who reads it. */
function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** Those that were chosen and are still there. */
export function stillThere<K>(chosen: ReadonlySet<K>, there: readonly K[]): ReadonlySet<K> {
  const left = there.filter((one) => chosen.has(one));
  return left.length === chosen.size ? chosen : new Set(left);
}
