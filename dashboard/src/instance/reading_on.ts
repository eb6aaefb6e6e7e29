/** Something of an instance that is read page by page, and again from its end when the instance goes on. */

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { ApiError, Result } from "../api/client";

export abstract class ReadingOn {
  readonly error = signal<ApiError | null>(null);
  readonly isReading = signal(false);
  private isWanted = false;
  private readonly stopping = new AbortController();

  constructor(protected readonly id: string) {}

  stop(): void {
    this.stopping.abort();
  }

  /** Reads on to the end, or as far as is read at once; while it is read already, once more after that. */
  async read(): Promise<void> {
    this.isWanted = true;
    if (this.isReading.value) return;
    this.isReading.value = true;
    while (this.isWanted) {
      this.isWanted = false;
      await this.readPages();
    }
    this.isReading.value = false;
  }

  protected abstract readPages(): Promise<void>;

  /** A page; null when there is none, which the error says unless nobody wants to know any more. */
  protected async page<T>(
    ask: (signal: AbortSignal) => Promise<Result<T>>,
  ): Promise<(Result<T> & { ok: true }) | null> {
    const answer = await ask(this.stopping.signal);
    if (this.stopping.signal.aborted) return null;
    this.error.value = answer.ok ? null : answer.error;
    return answer.ok ? answer : null;
  }
}

/** Has it read when it is first needed, and again whenever the count of changes is another one. */
export function useReadingOn(reading: ReadingOn, changes: number): void {
  useEffect(() => void reading.read(), [reading, changes]);
  useEffect(() => () => reading.stop(), [reading]);
}
