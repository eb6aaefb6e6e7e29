/** Data of one request, kept for a view: read at the start, when asked for, at intervals, and when the host returns. */

import { useSignal, type ReadonlySignal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import type { ApiError, Result } from "./client";
import { returns } from "./connection";

export interface Resource<T> {
  /** What was read last; it stays while it is read anew, and when that fails. */
  readonly value: ReadonlySignal<T | null>;
  /** Why the last reading failed. */
  readonly error: ReadonlySignal<ApiError | null>;
  readonly isLoading: ReadonlySignal<boolean>;
  /** Reads anew. While it is being read already, once more after that, however often this is called. */
  readonly reload: () => void;
}

export interface ResourceOptions {
  /** Reads anew so many milliseconds after each answer, while the page can be seen. */
  readonly every?: number;
}

/**
 * Reads what `load` says; when `key` changes, that is something else and is read from the start.
 *
 *     const hosts = useResource("hosts", () => get<HubHosts>("/admin/hosts"), { every: 5000 });
 */
export function useResource<T>(
  key: string | null,
  load: (signal: AbortSignal) => Promise<Result<T>>,
  options: ResourceOptions = {},
): Resource<T> {
  const value = useSignal<T | null>(null);
  const error = useSignal<ApiError | null>(null);
  const isLoading = useSignal(false);
  const latest = useRef({ load, every: options.every });
  latest.current = { load, every: options.every };
  const reader = useMemo(() => new Reader<T>(latest, { value, error, isLoading }), [key]);
  useEffect(() => {
    if (key === null) return undefined;
    value.value = null;
    error.value = null;
    reader.start();
    return () => reader.stop();
  }, [reader]);
  return { value, error, isLoading, reload: reader.reload };
}

interface Wanted<T> {
  readonly load: (signal: AbortSignal) => Promise<Result<T>>;
  readonly every: number | undefined;
}

interface Places<T> {
  readonly value: { value: T | null };
  readonly error: { value: ApiError | null };
  readonly isLoading: { value: boolean };
}

class Reader<T> {
  private readonly stopping = new AbortController();
  private isReading = false;
  private isWanted = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private unsubscribe: () => void = () => undefined;

  constructor(
    private readonly wanted: { readonly current: Wanted<T> },
    private readonly places: Places<T>,
  ) {}

  start(): void {
    let isFirst = true;
    this.unsubscribe = returns.subscribe(() => {
      if (!isFirst) this.reload();
      isFirst = false;
    });
    document.addEventListener("visibilitychange", this.seen);
    this.reload();
  }

  stop(): void {
    this.stopping.abort();
    clearTimeout(this.timer);
    this.unsubscribe();
    document.removeEventListener("visibilitychange", this.seen);
  }

  readonly reload = (): void => {
    if (this.stopping.signal.aborted) return;
    this.isWanted = true;
    if (!this.isReading) void this.read();
  };

  private readonly seen = (): void => {
    if (!document.hidden && this.wanted.current.every !== undefined) this.reload();
  };

  private async read(): Promise<void> {
    this.isReading = true;
    this.places.isLoading.value = true;
    clearTimeout(this.timer);
    while (this.isWanted) {
      this.isWanted = false;
      const answer = await this.wanted.current.load(this.stopping.signal);
      if (this.stopping.signal.aborted) return;
      if (answer.ok) this.places.value.value = answer.value;
      this.places.error.value = answer.ok ? null : answer.error;
    }
    this.isReading = false;
    this.places.isLoading.value = false;
    const { every } = this.wanted.current;
    if (every !== undefined && !document.hidden) this.timer = setTimeout(this.reload, every);
  }
}
