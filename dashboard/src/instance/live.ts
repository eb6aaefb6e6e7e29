/**
 * One instance, kept up to date: its row with the explanation, its run, and a count of what has changed.
 *
 * Each committed turn makes the host be asked anew, but not more often than its answers can be had: a run of thousands
 * of steps is read every few seconds, a small one twice a second.
 */

import { useSignal, type ReadonlySignal, type Signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
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
  readonly isPurged: ReadonlySignal<boolean>;
  /** How many levels of children are read. */
  readonly levels: Signal<number>;
  /** Reads everything anew: after an action. */
  readonly refresh: () => void;
}

const LEAST_PAUSE = 500;
const PAUSE_PER_READING = 4;
/** What no turn tells: whether an activity has left the queue, who serves it now. */
const EXPLAINED_EVERY = 10_000;

export function runPath(id: string): string {
  return `/admin/instances/${encodeURIComponent(id)}/run`;
}

export function useLive(id: string): Live {
  const levels = useSignal(1);
  const changes = useSignal(0);
  const lastTurn = useSignal(0);
  const isPurged = useSignal(false);
  const took = useRef(0);
  const instance = useResource<Instance>(`instance ${id}`, (signal) => readInstance(id, signal));
  // One key for all levels: what was read stays while deeper ones are read.
  const run = useResource<Run>(`run ${id}`, async (signal) => {
    const from = performance.now();
    const answer = await get<Run>(runPath(id), { levels: levels.peek() }, signal);
    took.current = performance.now() - from;
    return answer;
  });
  const refresh = (): void => {
    instance.reload();
    run.reload();
    changes.value += 1;
  };
  const latest = useRef(refresh);
  latest.current = refresh;
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const later = (): void => {
      timer ??= setTimeout(
        () => {
          timer = undefined;
          latest.current();
        },
        Math.max(LEAST_PAUSE, took.current * PAUSE_PER_READING),
      );
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
  }, [id]);
  const depth = levels.value;
  useEffect(() => {
    if (depth > 1) run.reload();
  }, [depth]);
  useExplained(instance);
  return { id, instance, run, changes, lastTurn, isPurged, levels, refresh };
}

function useExplained(instance: Resource<Instance>): void {
  const latest = useRef(instance);
  latest.current = instance;
  useEffect(() => {
    const timer = setInterval(() => {
      const row = latest.current.value.value;
      if (!document.hidden && row && !isFinished(statusOf(row))) latest.current.reload();
    }, EXPLAINED_EVERY);
    return () => clearInterval(timer);
  }, []);
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
