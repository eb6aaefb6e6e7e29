/** The scale of a run as it grows, and zooming by the wheel. */
import { useEffect, useMemo } from "preact/hooks";
import type { Microseconds, Run } from "../shapes";
import { allSteps, isOpen } from "./rows";
import { evenScale, roomyEnd, skippingScale, zoomed, type Scale, type View } from "./scale";
import { marksOf } from "./segments";

export interface KnownScale {
  readonly current: Scale;
  /** Whether skipping changes anything. */
  readonly canSkip: boolean;
}

const ROOM = 0.02;

export function useScale(run: Run, now: Microseconds, end: Microseconds | undefined, isSkipping: boolean): KnownScale {
  const marks = useMemo(() => [...allSteps(run)].flatMap(marksOf), [run]);
  const origin = run.record.createdAt;
  const isOver = run.record.completedAt != null && !(run.steps ?? []).some(isOpen);
  const last = end ?? (isOver ? Math.max(run.record.completedAt ?? 0, ...lastOf(marks)) : now);
  return useMemo(() => {
    const skipping = skippingScale(origin, last, marks);
    const canSkip = skipping.stretches.length > 1;
    if (isSkipping && canSkip) return { current: withRoom(skipping, isOver ? 0 : ROOM), canSkip };
    return { current: evenScale(origin, isOver || end !== undefined ? last : roomyEnd(origin, now)), canSkip };
  }, [marks, origin, last, isSkipping]);
}

/** A scale that leaves some room at its end. */
function withRoom(scale: Scale, room: number): Scale {
  const shrunk = (position: number): number => position * (1 - room);
  return { stretches: scale.stretches.map((one) => ({ ...one, start: shrunk(one.start), end: shrunk(one.end) })) };
}

function lastOf(marks: readonly Microseconds[]): Microseconds[] {
  return marks.length === 0 ? [] : [marks.reduce((one, other) => Math.max(one, other))];
}

export function useCtrlWheel(
  outer: { readonly current: HTMLElement | null },
  names: number,
  width: number,
  view: { readonly value: View },
  setView: (view: View) => void,
): void {
  useEffect(() => {
    const element = outer.current;
    const onWheel = (event: WheelEvent): void => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const left = element!.getBoundingClientRect().left + names;
      const at = Math.min(Math.max((event.clientX - left) / width, 0), 1);
      setView(zoomed(view.value, event.deltaY > 0 ? 1.25 : 0.8, at));
    };
    // Not passive: the browser would zoom the whole page besides.
    element?.addEventListener("wheel", onWheel, { passive: false });
    return () => element?.removeEventListener("wheel", onWheel);
  }, [names, width]);
}
