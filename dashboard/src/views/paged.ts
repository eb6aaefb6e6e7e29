/** Lists whose pages follow each other when asked for: the first is read by itself. */

import { useSignal, type ReadonlySignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { ApiError, Result } from "../api/client";
import { returns } from "../api/connection";

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
  readonly more: () => void;
  readonly reload: () => void;
}

/** Reads pages with `load`; when `key` changes, from the start. */
export function usePaged<T>(key: string, load: (after: string | null) => Promise<Result<Page<T>>>): Paged<T> {
  const rows = useSignal<readonly T[] | null>(null);
  const error = useSignal<ApiError | null>(null);
  const after = useSignal<string | null>(null);
  const hasMore = useSignal(false);
  const isLoading = useSignal(false);
  const life = useRef(0);
  const latest = useRef(load);
  latest.current = load;
  const read = async (from: string | null) => {
    const mine = ++life.current;
    isLoading.value = true;
    const answer = await latest.current(from);
    if (mine !== life.current) return;
    isLoading.value = false;
    error.value = answer.ok ? null : answer.error;
    if (!answer.ok) return;
    rows.value = from === null ? answer.value.rows : [...(rows.value ?? []), ...answer.value.rows];
    after.value = answer.value.after;
    hasMore.value = answer.value.after !== null;
  };
  useEffect(() => {
    rows.value = null;
    let isFirst = true;
    const stop = returns.subscribe(() => {
      if (isFirst || error.value) void read(null);
      isFirst = false;
    });
    return () => {
      stop();
      life.current += 1;
    };
  }, [key]);
  return { rows, error, hasMore, isLoading, more: () => void read(after.value), reload: () => void read(null) };
}
