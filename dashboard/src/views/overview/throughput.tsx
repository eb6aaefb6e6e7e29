/** What this host did in the last ten minutes: a chart, its legend, and the same as a table. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Series } from "../../api/types";
import { countText } from "../../formatting";
import { Button } from "../../parts/button";
import { Table, type Column } from "../../parts/table";
import { Time } from "../../parts/time";
import { theme, zone } from "../../preferences";
import type { Chart } from "./chart";
import { chartData, LINES, minutes, rateNow, rateText, type Line, type Minute } from "./rates";

export interface ThroughputProps {
  readonly series: Series | null;
  /** When this host began: it has counted from then on. */
  readonly since: number | null;
}

export function Throughput({ series, since }: ThroughputProps): JSX.Element {
  const isTable = useSignal(false);
  const step = useSignal<number | null>(null);
  return (
    <section class="card of-throughput" aria-labelledby="throughput-head">
      <header class="card-head">
        <h2 id="throughput-head">Throughput of this host</h2>
        {since !== null && (
          <span class="quiet-text small-text">
            since it started at <Time at={since} look="short" />
          </span>
        )}
        <Button kind="quiet" size="small" pressed={isTable.value} onClick={() => (isTable.value = !isTable.value)}>
          As a table
        </Button>
      </header>
      {isTable.value && series ? (
        <Table
          label="Throughput of the last ten minutes"
          columns={COLUMNS}
          rows={minutes(series)}
          keyOf={(minute) => String(minute.at)}
        />
      ) : (
        <div class="card-body">
          <Legend series={series} step={step.value} />
          <ChartPlace series={series} onPoint={(at) => (step.value = at)} />
        </div>
      )}
    </section>
  );
}

interface LegendProps {
  readonly series: Series | null;
  /** The step that is pointed at; null for the last minute. */
  readonly step: number | null;
}

function Legend({ series, step }: LegendProps): JSX.Element {
  return (
    <ul class="legend" aria-label="Per second, over the last minute">
      {LINES.map((line) => (
        <li key={line.id} class={`legend-line of-${line.id}`}>
          <svg viewBox="0 0 22 6" width="22" height="6" aria-hidden="true">
            <path d="M0 3h22" stroke-dasharray={line.dash.join(" ")} />
          </svg>
          {line.label}
          <strong>{series ? `${rateText(rateAt(series, line.id, step))}/s` : "–"}</strong>
        </li>
      ))}
      <li class="legend-time">
        {series && step !== null ? (
          <>
            at <Time at={series.from + step * series.stepSeconds * 1e6} look="short" />
          </>
        ) : (
          "last minute"
        )}
      </li>
    </ul>
  );
}

function rateAt(series: Series, id: Line["id"], step: number | null): number {
  return step === null ? rateNow(series, id) : (series[id][step] ?? 0) / series.stepSeconds;
}

interface ChartPlaceProps {
  readonly series: Series | null;
  readonly onPoint: (step: number | null) => void;
}

/** The chart is loaded after the page is there; its place is kept free, so that nothing moves. */
function ChartPlace({ series, onPoint }: ChartPlaceProps): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<Chart | null>(null);
  const isLoaded = useSignal(false);
  useEffect(() => {
    let isGone = false;
    void import("./chart").then(({ drawChart }) => {
      if (isGone || !place.current) return;
      chart.current = drawChart(place.current, onPoint);
      isLoaded.value = true;
    });
    return () => {
      isGone = true;
      chart.current?.remove();
    };
  }, []);
  useEffect(() => {
    if (series) chart.current?.show(chartData(series), zone.value);
  }, [series, isLoaded.value, zone.value]);
  useEffect(() => chart.current?.recolour(), [theme.value]);
  return (
    <div
      ref={place}
      class="chart-place"
      role="img"
      aria-label="Throughput over the last ten minutes; the table has the same figures"
    />
  );
}

const COLUMNS: readonly Column<Minute>[] = [
  { id: "at", label: "Minute from", cell: (minute) => <Time at={minute.at} look="short" /> },
  ...LINES.map((line): Column<Minute> => ({
    id: line.id,
    label: line.label,
    isNumber: true,
    cell: (minute) => countText(minute[line.id]),
  })),
];
