/** Many small updates as few large ones: a page that shows 30 a second renders four times. Pure but for its timer. */

export const LEAST_PAUSE = 250;

export interface Timers {
  readonly now: () => number;
  readonly later: (action: () => void, milliseconds: number) => unknown;
  readonly cancel: (timer: unknown) => void;
}

const REAL_TIMERS: Timers = {
  now: () => performance.now(),
  later: (action, milliseconds) => setTimeout(action, milliseconds),
  cancel: (timer) => clearTimeout(timer as number),
};

/** Collects what is added and hands it on: the first at once, then at most every `pause` milliseconds. */
export class Coalescer<T> {
  private items: T[] = [];
  private timer: unknown = null;
  private lastAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly hand: (items: readonly T[]) => void,
    private readonly pause: number = LEAST_PAUSE,
    private readonly timers: Timers = REAL_TIMERS,
  ) {}

  add(item: T): void {
    this.items.push(item);
    if (this.timer !== null) return;
    const wait = Math.max(0, this.lastAt + this.pause - this.timers.now());
    this.timer = this.timers.later(() => this.flush(), wait);
  }

  /** Hands on now what there is. */
  flush(): void {
    this.timers.cancel(this.timer);
    this.timer = null;
    if (this.items.length === 0) return;
    const items = this.items;
    this.items = [];
    this.lastAt = this.timers.now();
    this.hand(items);
  }

  /** Forgets what was not handed on. */
  stop(): void {
    this.timers.cancel(this.timer);
    this.timer = null;
    this.items = [];
  }
}
