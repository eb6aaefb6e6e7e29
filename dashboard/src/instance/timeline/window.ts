/** Which rows of a long list are in sight: all have one height, so that it is a division. */
import { useSignal } from "@preact/signals";
import { useLayoutEffect } from "preact/hooks";
import type { RefObject } from "preact";

export interface Window {
  readonly first: number;
  readonly last: number;
}

/** Short lists are drawn whole. */
export const DRAWN_WHOLE = 200;
const OVERSCAN = 12;

export function useWindow(frame: RefObject<HTMLElement | null>, count: number, rowHeight: number): Window {
  const place = useSignal({ top: 0, height: 800 });
  useLayoutEffect(() => {
    const element = frame.current;
    if (!element) return undefined;
    const read = (): void => {
      place.value = { top: element.scrollTop, height: element.clientHeight };
    };
    read();
    element.addEventListener("scroll", read, { passive: true });
    return () => element.removeEventListener("scroll", read);
  }, [count > DRAWN_WHOLE]);
  if (count <= DRAWN_WHOLE) return { first: 0, last: count };
  const first = Math.floor(place.value.top / rowHeight) - OVERSCAN;
  const last = Math.ceil((place.value.top + place.value.height) / rowHeight) + OVERSCAN;
  return { first: Math.max(first, 0), last: Math.min(last, count) };
}

/** The width of an element's content, as it changes. */
export function useWidth(element: RefObject<HTMLElement | null>): number {
  const width = useSignal(0);
  useLayoutEffect(() => {
    if (!element.current) return undefined;
    const observer = new ResizeObserver(([entry]) => {
      width.value = Math.floor(entry?.contentRect.width ?? 0);
    });
    observer.observe(element.current);
    width.value = Math.floor(element.current.clientWidth);
    return () => observer.disconnect();
  }, []);
  return width.value;
}
