/**
 * One instance, kept up to date: its row with the explanation, its run, and a count of what has changed.
 *
 * Each committed turn makes the host be asked anew, but not more often than its answers can be had: a run of thousands
 * of steps is read every few seconds, a small one twice a second.
 */

import { useSignal, type ReadonlySignal, type Signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { acts } from "../api/acts";
import { get } from "../api/client";
import { readInstance } from "../api/instances";
import { watchInstance } from "../api/live";
import { useResource, type Resource } from "../api/resource";
import { isFinished, statusOf } from "../statuses";
import type { Instance, Microseconds, Run } from "./shapes";

export interface Live {
  readonly id: string;
  readonly instance: Resource<Instance>;
  readonly run: Resource<Run>;
  /** Grows when the instance has done something. */
  readonly changes: ReadonlySignal<number>;
  /** The last turn that was heard of; 0 until one was. */
  readonly lastTurn: ReadonlySignal<number>;
  /** Set by whoever purges it from here: then nothing is asked any more. */
  readonly isPurged: Signal<boolean>;
  /** How many levels of children are read. */
  readonly levels: Signal<number>;
  /** Reads everything anew: after an action. */
  readonly refresh: () => void;
}

const LEAST_PAUSE = 500;
const PAUSE_PER_READING = 4;
/** What no turn tells: whether an activity has left the queue, who serves it now. */
const EVERY = 10_000;
const TOLD_WITHIN = 3_000;
const ENDED_EVERY = 60_000;

export function runPath(id: string): string {
  return `/admin/instances/${encodeURIComponent(id)}/run`;
}

export function useLive(id: string): Live {
  const levels = useSignal(1);
  const changes = useSignal(0);
  const lastTurn = useSignal(0);
  const isPurged = useSignal(false);
  const isGone = useSignal(false);
  const took = useRef(0);
  const isOff = isPurged.value || isGone.value;
  const instance = useResource<Instance>(`instance ${id}`, (signal) => readInstance(id, signal), { isOff });
  const row = instance.value.value;
  const isOver = row !== null && isFinished(statusOf(row));
  // One key for all levels: what was read stays while deeper ones are read.
  const run = useResource<Run>(
    `run ${id}`,
    async (signal) => {
      const from = performance.now();
      const answer = await get<Run>(runPath(id), { levels: levels.peek() }, signal);
      took.current = performance.now() - from;
      return answer;
    },
    { isOff: isOff || row === null, every: isOver ? ENDED_EVERY : Math.max(EVERY, took.current * PAUSE_PER_READING) },
  );
  const refreshedAt = useRef(0);
  const refresh = (): void => {
    refreshedAt.current = performance.now();
    instance.reload();
    run.reload();
    changes.value += 1;
  };
  const latest = useRef({ refresh, took });
  latest.current = { refresh, took };
  useEffect(() => {
    isGone.value = instance.error.value?.status === 404;
  }, [instance.error.value]);
  useMissed(row, () => {
    // What live updates have told is being read already.
    if (performance.now() - refreshedAt.current < TOLD_WITHIN) return;
    run.reload();
    changes.value += 1;
  });
  // Somebody may have started it just now.
  const count = acts.value;
  useEffect(() => {
    if (isGone.value && !isPurged.value) instance.reload();
  }, [count]);
  useEffect(() => {
    if (isOff || row === null) return undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const later = (): void => {
      const pause = Math.max(LEAST_PAUSE, latest.current.took.current * PAUSE_PER_READING);
      timer ??= setTimeout(() => {
        timer = undefined;
        latest.current.refresh();
      }, pause);
    };
    const stop = watchInstance(id, {
      onUpdates: (updates) => {
        for (const update of updates) lastTurn.value = update.turn;
        if (updates.some((update) => update.purged)) isPurged.value = true;
        else later();
      },
      onReset: (state) => {
        if (state) lastTurn.value = state.turn;
        later();
      },
    });
    return () => {
      clearTimeout(timer);
      stop();
    };
    // The stream of an execution ends with it: another one has another.
  }, [id, isOff, row?.executionId ?? ""]);
  const depth = levels.value;
  useEffect(() => {
    if (depth > 1) run.reload();
  }, [depth]);
  return { id, instance, run, changes, lastTurn, isPurged, levels, refresh };
}

/** Calls when the row is another than it was: live updates may have missed that. */
function useMissed(row: Instance | null, call: () => void): void {
  const now = row && [row.executionId, row.generation, row.status, row.updatedAt, row.hold?.since].join();
  const before = useRef<string | null>(null);
  useEffect(() => {
    if (before.current !== null && now !== null && before.current !== now) call();
    before.current = now;
  }, [now]);
}

const FAST = 200;
const FAST_WHILE = 60e6;

/** The present, for bars that grow: often for a young run, once a second for an old one. Stands still when `isOver`. */
export function usePresent(since: Microseconds, isOver: boolean): Microseconds {
  const present = useSignal(Date.now() * 1000);
  useEffect(() => {
    if (isOver) return undefined;
    const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const tick = (): void => {
      const now = Date.now() * 1000;
      const isDue = now - present.value >= 0.95e6 || (!isCalm && now - since < FAST_WHILE);
      if (!document.hidden && isDue) present.value = now;
    };
    const timer = setInterval(tick, FAST);
    return () => clearInterval(timer);
  }, [since, isOver]);
  return present.value;
}
