/**
 * When what is shown is read anew: one way for every view.
 *
 * After the host has come back, after a gap in its live updates, after each action of this page and for some seconds
 * more (what it causes comes later), when the page is seen again, when updates say so, and regularly. Nothing is read
 * twice at a time, nothing while the page is hidden, the host away, or nobody signed in.
 */

import { computed, signal, untracked, type ReadonlySignal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { acts } from "./acts";
import { connection, returns } from "./connection";
import { watchHub, type HubListener } from "./live";
import { isSignedIn } from "./session";
import type { Digest, Update } from "./types";

export interface Freshness {
  /** At the latest so many milliseconds after each answer. */
  readonly every?: number;
  /** Whether it is a reason, too, that so many instances have changed; at most once a second. */
  readonly isChangedBy?: (digest: Digest) => boolean;
  /** The same for each live update of the hub, all of which the host has to tell then. */
  readonly isTouchedBy?: (updates: readonly Update[]) => boolean;
  /** Nothing is to be read any more, or only when it is asked for. */
  readonly isOff?: boolean;
}

/** Why something is read: after a gap nothing that stood before is known to be so. */
export type Cause = "gap" | "change";

const REGULARLY = 10_000;
const LEAST_PAUSE = 1_000;
/** After something that takes long to read the pause is longer, by so many times that long: the host has other work. */
const PAUSE_PER_READING = 4;
/** The first one leaves time to whoever acted to say that there is nothing to be read any more. */
const AFTER_AN_ACT = [50, 700, 2_000, 5_000, 10_000];

type Timer = ReturnType<typeof setTimeout>;

/** Calls a function when it is time to read; it says whether it could. */
export class Keeper {
  /** Whether the last reading succeeded, and nothing has happened since that makes it doubtful. */
  readonly isFresh: ReadonlySignal<boolean> = computed(() => this.isSure.value && connection.value.state !== "away");
  private readonly isSure = signal(false);
  private isReading = false;
  private isAsked = false;
  /** A gap is closed by a reading that succeeds; until then each is one after a gap. */
  private hasGap = false;
  private isStopped = false;
  private readAt = Number.NEGATIVE_INFINITY;
  private took = 0;
  private next: Timer | undefined;
  private soon: Timer | undefined;
  private following: Timer[] = [];
  private stops: (() => void)[] = [];

  constructor(
    private readonly read: (cause: Cause) => Promise<boolean>,
    private readonly wanted: () => Freshness = () => ({}),
  ) {}

  /** From now on; reads at once. */
  start(): void {
    this.stops = [
      onChange(returns, () => this.doubt()),
      onChange(acts, () => this.follow()),
      onChange(isSignedIn, () => this.doubt()),
      watchHub(this.listening()),
    ];
    document.addEventListener("visibilitychange", this.seen);
    this.ask("gap");
  }

  stop(): void {
    this.isStopped = true;
    for (const timer of [this.next, this.soon, ...this.following]) clearTimeout(timer);
    for (const stop of this.stops) stop();
    document.removeEventListener("visibilitychange", this.seen);
  }

  /** Reads anew; while it is being read already, once more after that, however often this is called. */
  ask(cause: Cause = "change"): void {
    if (this.isStopped) return;
    this.isAsked = true;
    this.hasGap ||= cause === "gap";
    if (!this.isReading) void this.readAll();
  }

  private askIfWanted(cause: Cause): void {
    if (!this.wanted().isOff && !document.hidden && isSignedIn.peek()) this.ask(cause);
  }

  private async readAll(): Promise<void> {
    this.isReading = true;
    clearTimeout(this.next);
    while (this.isAsked && !this.isStopped) {
      const cause = this.hasGap ? "gap" : "change";
      const began = performance.now();
      this.isAsked = this.hasGap = false;
      const isRead = await untracked(() => this.read(cause));
      if (!isRead && cause === "gap") this.hasGap = true;
      this.isSure.value = isRead && !this.hasGap;
      this.took = performance.now() - began;
    }
    this.isReading = false;
    this.readAt = performance.now();
    this.plan();
  }

  private plan(): void {
    const { every = REGULARLY } = this.wanted();
    clearTimeout(this.next);
    if (this.isStopped) return;
    this.next = setTimeout(() => {
      this.plan();
      // While it is away the connection asks by itself, and `returns` wakes this up.
      if (connection.peek().state !== "away") this.askIfWanted("change");
    }, every);
  }

  private doubt(): void {
    this.isSure.value = false;
    this.askIfWanted("gap");
  }

  private follow(): void {
    if (this.wanted().isOff) return;
    this.isSure.value = false;
    for (const timer of this.following) clearTimeout(timer);
    this.following = AFTER_AN_ACT.map((pause) => setTimeout(() => this.askIfWanted("change"), pause));
  }

  private listening(): HubListener {
    const { isTouchedBy } = this.wanted();
    return {
      ...(isTouchedBy && { onUpdates: (updates) => this.wanted().isTouchedBy?.(updates) && this.stir() }),
      onDigest: (digest) => this.wanted().isChangedBy?.(digest) && this.stir(),
      onReset: () => this.doubt(),
    };
  }

  /** Something has changed: reads anew, but not more often than it should. */
  stir(): void {
    if (this.soon !== undefined) return;
    const rest = Math.max(LEAST_PAUSE, this.took * PAUSE_PER_READING);
    const pause = Math.max(0, this.readAt + rest - performance.now());
    this.soon = setTimeout(() => {
      this.soon = undefined;
      this.askIfWanted("change");
    }, pause);
  }

  private readonly seen = (): void => {
    if (!document.hidden) this.askIfWanted("gap");
  };
}

/** Calls when the value is another one; not at the beginning. */
function onChange<T>(of: ReadonlySignal<T>, call: () => void): () => void {
  let isFirst = true;
  return of.subscribe(() => {
    if (!isFirst) untracked(call);
    isFirst = false;
  });
}

/**
 * A keeper for as long as the component is there; when `key` changes, another one.
 *
 *     const keeper = useKeeper("links", async () => show(await get("/runtime/links")), { every: 5000 });
 */
export function useKeeper(
  key: string | null,
  read: (cause: Cause) => Promise<boolean>,
  freshness: Freshness = {},
): Keeper {
  const latest = useRef({ read, freshness });
  latest.current = { read, freshness };
  const keeper = useMemo(
    () =>
      new Keeper(
        (cause) => latest.current.read(cause),
        () => latest.current.freshness,
      ),
    [key],
  );
  useEffect(() => {
    if (key === null) return undefined;
    keeper.start();
    return () => keeper.stop();
  }, [keeper]);
  return keeper;
}
