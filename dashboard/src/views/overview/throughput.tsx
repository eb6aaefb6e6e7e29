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

export function Throughput({ series }: { readonly series: Series | null }): JSX.Element {
  const isTable = useSignal(false);
  return (
    <section class="card of-throughput" aria-labelledby="throughput-head">
      <header class="card-head">
        <h2 id="throughput-head">Throughput of this host</h2>
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
          <ul class="legend" aria-label="Per second, over the last minute">
            {LINES.map((line) => (
              <LegendLine key={line.id} line={line} series={series} />
            ))}
          </ul>
          <ChartPlace series={series} />
        </div>
      )}
    </section>
  );
}

function LegendLine({ line, series }: { readonly line: Line; readonly series: Series | null }): JSX.Element {
  return (
    <li class={`legend-line of-${line.id}`}>
      <svg viewBox="0 0 22 6" width="22" height="6" aria-hidden="true">
        <path d="M0 3h22" stroke-dasharray={line.dash.join(" ")} />
      </svg>
      {line.label}
      <strong>{series ? `${rateText(rateNow(series, line.id))}/s` : "–"}</strong>
    </li>
  );
}

/** The chart is loaded after the page is there; its place is kept free, so that nothing moves. */
function ChartPlace({ series }: { readonly series: Series | null }): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<Chart | null>(null);
  const isLoaded = useSignal(false);
  useEffect(() => {
    let isGone = false;
    void import("./chart").then(({ drawChart }) => {
      if (isGone || !place.current) return;
      chart.current = drawChart(place.current);
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
