/** The graph as a picture: zoom, moving, and nodes that the keyboard reaches. */

import { useSignal, type Signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Button } from "../../parts/button";
import { StatusSign } from "../../parts/status_badge";
import { instanceAddress } from "../../router";
import { useWidth } from "../timeline/window";
import { NODE_HEIGHT, NODE_WIDTH, type Layout, type PlacedNode } from "./layout";

export interface DrawingProps {
  readonly layout: Layout;
  readonly label: string;
  readonly onStep: (number: number) => void;
}

interface Place {
  readonly x: number;
  readonly y: number;
  readonly zoom: number;
}

const LARGEST = 2.5;
const SMALLEST = 0.08;
const LEAST_FIT = 0.62;
const LOWEST = 220;
const HIGHEST = 620;

export function Drawing({ layout, label, onStep }: DrawingProps): JSX.Element {
  const frame = useRef<HTMLDivElement>(null);
  const width = useWidth(frame);
  const height = Math.min(Math.max(layout.height * widthZoom(layout, width) + 24, LOWEST), HIGHEST);
  const place = useSignal<Place | null>(null);
  const shown = place.value ?? fit(layout, width, height, LEAST_FIT);
  const zoomBy = (factor: number, x = width / 2, y = height / 2): void => {
    const from = place.value ?? shown;
    const zoom = Math.min(Math.max(from.zoom * factor, SMALLEST), LARGEST);
    place.value = { zoom, x: x - ((x - from.x) * zoom) / from.zoom, y: y - ((y - from.y) * zoom) / from.zoom };
  };
  useMoving(frame, place, shown, zoomBy);
  return (
    <div class="graph">
      <div class="row graph-tools" role="group" aria-label="Zoom of the graph">
        <Button size="small" label="Zoom in" title="Zoom in (Ctrl and the wheel)" onClick={() => zoomBy(1.3)}>
          +
        </Button>
        <Button size="small" label="Zoom out" onClick={() => zoomBy(1 / 1.3)}>
          −
        </Button>
        <Button size="small" onClick={() => (place.value = fit(layout, width, height, SMALLEST))}>
          Fit
        </Button>
        <span class="graph-legend small-text quiet-text">
          <svg width="28" height="10" aria-hidden="true">
            <line x1="0" x2="28" y1="5" y2="5" class="graph-edge flow" />
          </svg>
          over a topic, a queue or a call from outside
        </span>
      </div>
      <div ref={frame} class="graph-frame" style={{ height: `${height}px` }}>
        <svg width="100%" height={height} role="group" aria-label={label}>
          <defs>
            <marker id="graph-head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
              <path d="M0 0.5 8 4 0 7.5z" class="graph-arrow" />
            </marker>
          </defs>
          <g transform={`translate(${shown.x} ${shown.y}) scale(${shown.zoom})`}>
            {layout.edges.map(({ edge, path }) => (
              <path
                key={`${edge.from} ${edge.to}`}
                d={path}
                class={`graph-edge ${edge.isFlow ? "flow" : ""}`}
                marker-end="url(#graph-head)"
              />
            ))}
            {layout.nodes.map((placed) => (
              <NodeView key={placed.node.id} placed={placed} onStep={onStep} />
            ))}
          </g>
        </svg>
      </div>
    </div>
  );
}

/** As large as its width allows. */
function widthZoom(layout: Layout, width: number): number {
  return Math.max(Math.min(width / Math.max(layout.width, 1), 1), LEAST_FIT);
}

/** All of it in the middle; a large one not so small that nothing can be read, but from its beginning. */
function fit(layout: Layout, width: number, height: number, least: number): Place {
  const zoom = Math.max(Math.min(width / Math.max(layout.width, 1), height / Math.max(layout.height, 1), 1), least);
  const isWide = layout.width * zoom > width;
  return {
    zoom,
    x: isWide ? 0 : (width - layout.width * zoom) / 2,
    y: Math.max((height - layout.height * zoom) / 2, 0),
  };
}

function useMoving(
  frame: { readonly current: HTMLElement | null },
  place: Signal<Place | null>,
  shown: Place,
  zoomBy: (factor: number, x: number, y: number) => void,
): void {
  const latest = useRef({ shown, zoomBy });
  latest.current = { shown, zoomBy };
  useEffect(() => {
    const element = frame.current;
    if (!element) return undefined;
    let last: { x: number; y: number } | null = null;
    const listeners = new AbortController();
    const options = { signal: listeners.signal };
    element.addEventListener(
      "wheel",
      (event) => {
        if (!event.ctrlKey && !event.metaKey) return;
        event.preventDefault();
        const box = element.getBoundingClientRect();
        latest.current.zoomBy(event.deltaY > 0 ? 0.85 : 1.18, event.clientX - box.left, event.clientY - box.top);
      },
      { ...options, passive: false },
    );
    element.addEventListener("pointerdown", (event) => (last = { x: event.clientX, y: event.clientY }), options);
    element.addEventListener(
      "pointermove",
      (event) => {
        if (!last || event.buttons === 0) return;
        const from = latest.current.shown;
        place.value = { ...from, x: from.x + event.clientX - last.x, y: from.y + event.clientY - last.y };
        last = { x: event.clientX, y: event.clientY };
      },
      options,
    );
    globalThis.addEventListener("pointerup", () => (last = null), options);
    return () => listeners.abort();
  }, []);
}

const TEXT_LENGTH = 19;
const ABOUT_LENGTH = 25;

function NodeView({
  placed,
  onStep,
}: {
  readonly placed: PlacedNode;
  readonly onStep: (number: number) => void;
}): JSX.Element {
  const { node, x, y } = placed;
  const [first] = node.steps;
  const body = (
    <>
      <title>{`${node.title}, ${node.about}`}</title>
      <rect width={NODE_WIDTH} height={NODE_HEIGHT} rx="8" class="graph-box" />
      {node.kind === "group" && (
        <path d={`M6 ${NODE_HEIGHT}v3h${NODE_WIDTH - 12}v-3m-6 3v3H12v-3`} class="graph-box stacked" />
      )}
      <text x="30" y="21" class="graph-title" aria-hidden="true">
        {cut(node.title, TEXT_LENGTH)}
      </text>
      <text x="30" y="38" class="graph-about" aria-hidden="true">
        {cut(node.about, ABOUT_LENGTH)}
      </text>
      {node.state !== "none" && (
        <g transform="translate(10 11)">
          <StatusSign status={node.state} />
        </g>
      )}
    </>
  );
  const look = `graph-node ${node.kind} ${node.state} ${node.isAsked ? "asked" : ""}`;
  const transform = `translate(${x} ${y})`;
  if (node.instanceId && !node.isAsked && node.steps.length === 0) {
    return (
      <a href={instanceAddress(node.instanceId)} class={look}>
        <g transform={transform}>{body}</g>
      </a>
    );
  }
  const open = first && node.kind === "step" ? () => onStep(first.number) : undefined;
  return (
    <g
      class={look}
      transform={transform}
      role={open ? "button" : "img"}
      tabindex={0}
      onClick={open}
      onKeyDown={(event) => {
        if (!open || (event.key !== "Enter" && event.key !== " ")) return;
        event.preventDefault();
        open();
      }}
    >
      {body}
    </g>
  );
}

function cut(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
}
