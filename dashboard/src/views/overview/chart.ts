/** Draws the throughput with uPlot. Loaded after the page; colours come from the style sheet. */

import uPlot, { type AlignedData, type Options } from "uplot";
import "uplot/dist/uPlot.min.css";
import type { Zone } from "../../formatting";
import { LINES, tickText } from "./rates";

const HEIGHT = 208;

export interface Chart {
  readonly show: (data: number[][], zone: Zone) => void;
  /** Draws anew in the colours of the theme. */
  readonly recolour: () => void;
  readonly remove: () => void;
}

/** Draws into a place; `onPoint` hears which step the pointer is at, null when at none. */
export function drawChart(place: HTMLElement, onPoint: (step: number | null) => void): Chart {
  let data: number[][] = [[], ...LINES.map(() => [])];
  let zone: Zone = "local";
  let plot: uPlot | null = null;
  const width = () => Math.max(place.clientWidth, 100);
  const draw = () => {
    plot?.destroy();
    plot = new uPlot(optionsOf(place, width(), zone, onPoint), data as AlignedData, place);
  };
  const sizes = new ResizeObserver(() => plot?.setSize({ width: width(), height: HEIGHT }));
  const system = matchMedia("(prefers-color-scheme: dark)");
  sizes.observe(place);
  system.addEventListener("change", draw);
  return {
    show: (values, wanted) => {
      data = values;
      if (plot && wanted === zone) return plot.setData(data as AlignedData);
      zone = wanted;
      return draw();
    },
    recolour: () => plot && draw(),
    remove: () => {
      sizes.disconnect();
      system.removeEventListener("change", draw);
      plot?.destroy();
    },
  };
}

function optionsOf(place: HTMLElement, width: number, zone: Zone, onPoint: (step: number | null) => void): Options {
  const colour = coloursOf(place);
  const axis = {
    stroke: colour("text"),
    grid: { stroke: colour("grid"), width: 1 },
    ticks: { show: false },
    font: "11px system-ui, sans-serif",
  };
  return {
    width,
    height: HEIGHT,
    padding: [8, 20, 0, 0],
    legend: { show: false },
    hooks: { setCursor: [(plot) => onPoint(plot.cursor.idx ?? null)] },
    cursor: { drag: { x: false, y: false }, points: { size: 6 }, y: false },
    tzDate: (seconds) =>
      zone === "utc" ? uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC") : new Date(seconds * 1000),
    scales: { y: { range: (_plot, _least, most) => [0, Math.max(most * 1.1, 0.5)] } },
    axes: [
      { ...axis, size: 28, space: 70, values: "{HH}:{mm}" },
      { ...axis, size: 44, space: 36, values: (_plot, ticks) => ticks.map(tickText) },
    ],
    series: [
      {},
      ...LINES.map((line) => ({
        label: line.label,
        stroke: colour(line.id),
        width: 1.75,
        dash: [...line.dash],
        points: { show: false },
        ...(line.id === "started" && { fill: colour("ground") }),
      })),
    ],
  };
}

/** Reads colours as the browser has worked them out: a canvas knows no `light-dark()`. */
function coloursOf(place: HTMLElement): (name: string) => string {
  const probe = place.appendChild(document.createElement("span"));
  const read = (name: string) => {
    probe.className = `chart-colour of-${name}`;
    return getComputedStyle(probe).color;
  };
  const found = new Map(["text", "grid", "ground", ...LINES.map((line) => line.id)].map((name) => [name, read(name)]));
  probe.remove();
  return (name) => found.get(name) ?? "gray";
}
