/** Data of one request, kept for a view and read anew when it may have changed (`freshness`). */

import { useSignal, type ReadonlySignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { ApiError, Result } from "./client";
import { useKeeper, type Freshness } from "./freshness";

export interface Resource<T> {
  /** What was read last; it stays while it is read anew, and when that fails. */
  readonly value: ReadonlySignal<T | null>;
  /** Why the last reading failed. */
  readonly error: ReadonlySignal<ApiError | null>;
  readonly isLoading: ReadonlySignal<boolean>;
  /** Whether the value is as the host has it now: only then "there is none" may be said. */
  readonly isFresh: ReadonlySignal<boolean>;
  /** Reads anew. While it is being read already, once more after that, however often this is called. */
  readonly reload: () => void;
}

/**
 * Reads what `load` says; when `key` changes, that is something else and is read from the start.
 *
 *     const hosts = useResource("hosts", () => get<HubHosts>("/admin/hosts"), { every: 5000 });
 */
export function useResource<T>(
  key: string | null,
  load: (signal: AbortSignal) => Promise<Result<T>>,
  freshness: Freshness = {},
): Resource<T> {
  const value = useSignal<T | null>(null);
  const error = useSignal<ApiError | null>(null);
  const isLoading = useSignal(false);
  const stopping = useRef(new AbortController());
  const read = async (): Promise<boolean> => {
    const { signal } = stopping.current;
    isLoading.value = true;
    const answer = await load(signal);
    if (signal.aborted) return false;
    isLoading.value = false;
    if (answer.ok) value.value = answer.value;
    error.value = answer.ok ? null : answer.error;
    return answer.ok;
  };
  // Before the keeper's own: what was there under another key is gone when it begins to read.
  useEffect(() => {
    stopping.current = new AbortController();
    value.value = null;
    error.value = null;
    return () => stopping.current.abort();
  }, [key]);
  const keeper = useKeeper(key, read, freshness);
  return { value, error, isLoading, isFresh: keeper.isFresh, reload: () => keeper.ask() };
}
