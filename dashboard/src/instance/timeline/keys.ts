/** The keyboard of the timeline: between rows, into children, along the time. */
import type { Row } from "./rows";
import { panned, WHOLE, zoomed, type View } from "./scale";

export interface KeyTools {
  readonly toggle: (row: Row) => void;
  readonly choose: (row: Row) => void;
  readonly view: View;
  readonly setView: (view: View) => void;
  readonly body: HTMLElement | null;
  readonly height: number;
}

export function onKey(event: KeyboardEvent, rows: readonly Row[], row: Row | undefined, tools: KeyTools): void {
  if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
  const at = rows.indexOf(row);
  const action = keyAction(event, rows, row, at, tools);
  if (!action) return;
  event.preventDefault();
  action();
}

function keyAction(
  event: KeyboardEvent,
  rows: readonly Row[],
  row: Row,
  at: number,
  tools: KeyTools,
): (() => void) | null {
  const isExpandable = row.type === "group" || row.isExpandable;
  const to =
    (index: number): (() => void) =>
    () =>
      focusRow(rows, index, tools);
  switch (event.key) {
    case "ArrowDown":
      return to(at + 1);
    case "ArrowUp":
      return to(at - 1);
    case "Home":
      return to(0);
    case "End":
      return to(rows.length - 1);
    case "ArrowRight":
      if (event.shiftKey) return () => tools.setView(panned(tools.view, 0.2));
      return isExpandable && !row.isExpanded ? () => tools.toggle(row) : null;
    case "ArrowLeft":
      if (event.shiftKey) return () => tools.setView(panned(tools.view, -0.2));
      return isExpandable && row.isExpanded ? () => tools.toggle(row) : to(parentOf(rows, at));
    case "Enter":
    case " ":
      return () => tools.choose(row);
    case "+":
    case "=":
      return () => tools.setView(zoomed(tools.view, 0.7));
    case "-":
      return () => tools.setView(zoomed(tools.view, 1.4));
    case "0":
      return () => tools.setView(WHOLE);
    default:
      return null;
  }
}

function parentOf(rows: readonly Row[], at: number): number {
  const depth = rows[at]?.depth ?? 0;
  for (let index = at; index >= 0; index--) if ((rows[index]?.depth ?? 0) < depth) return index;
  return at;
}

function focusRow(rows: readonly Row[], index: number, { body, height }: KeyTools): void {
  const row = rows[Math.min(Math.max(index, 0), rows.length - 1)];
  if (!row || !body) return;
  const at = rows.indexOf(row);
  if (body.scrollHeight > body.clientHeight + 1) {
    const top = at * height;
    if (top < body.scrollTop) body.scrollTop = top;
    else if (top + height > body.scrollTop + body.clientHeight) body.scrollTop = top + height - body.clientHeight;
  }
  // Twice a frame: rows that come into sight are drawn in the first.
  requestAnimationFrame(() =>
    requestAnimationFrame(() => {
      const element = body.querySelector<HTMLElement>(`[aria-rowindex="${at + 1}"]`);
      element?.scrollIntoView({ block: "nearest" });
      element?.focus({ preventScroll: true });
    }),
  );
}
