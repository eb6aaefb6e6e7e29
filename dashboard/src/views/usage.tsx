/** What functions have used up, by function, app, tag and day, and what a plan would charge for it. */

import type { JSX } from "preact";
import { get, pathOf, type Parameters } from "../api/client";
import { useResource } from "../api/resource";
import type { Usage, UsageDimension, UsageLine } from "../api/types";
import { bytesText, countText, spanText } from "../formatting";
import { EmptyState } from "../parts/empty_state";
import { ReadError } from "../parts/read_error";
import { Table, type Column } from "../parts/table";
import { ViewHead } from "../parts/view_head";
import { route, setQuery, type Query } from "../router";
import { amountText, priceText, sharesOf } from "./usage_amounts";

const REGULARLY = 10_000;

/** What lines are told apart by: the value of the address, and its words. */
const GROUPINGS: Readonly<Record<string, string>> = {
  function: "By function",
  day: "By day",
  app: "By app",
  tag: "By tag",
  "day,function": "By day and function",
  "function,tag": "By function and tag",
  "app,function": "By app and function",
};

export function UsageView(): JSX.Element {
  const asked = askedOf(route.value.query);
  const usage = useResource(`usage ${JSON.stringify(asked)}`, () => get<Usage>("/admin/usage", asked), {
    every: REGULARLY,
  });
  const known = usage.value.value;
  return (
    <>
      <ViewHead
        title="Usage"
        about="What functions have used, in days of UTC: each turn and each attempt once, whatever died meanwhile. Waiting costs nothing."
      >
        <a class="button" href={pathOf("/admin/usage", { ...asked, format: "csv" })} download="usage.csv">
          As CSV
        </a>
      </ViewHead>
      <Choices asked={asked} known={known} />
      <ReadError of={usage} isEmpty={known === null} />
      {known && known.lines.length === 0 && (
        <div class="card">
          <EmptyState title="Nothing was used in these days" isSure={usage.isFresh.value}>
            Usage is counted from the first turn of an orchestration on.
          </EmptyState>
        </div>
      )}
      {known && known.lines.length > 0 && <Lines usage={known} />}
    </>
  );
}

interface Asked extends Parameters {
  readonly from: string | undefined;
  readonly to: string | undefined;
  readonly by: string;
  readonly price: string | undefined;
}

/** Of the address; what is none there is as always. */
function askedOf({ from, to, by, price }: Query): Asked {
  return { from, to, by: by !== undefined && Object.hasOwn(GROUPINGS, by) ? by : "function", price };
}

function Choices({ asked, known }: { readonly asked: Asked; readonly known: Usage | null }): JSX.Element {
  const choose = (changes: Query) => setQuery(changes, { replace: true });
  return (
    <section class="filters open" aria-label="What is shown">
      <div class="filters-body">
        <div class="filters-fields">
          <input
            type="date"
            aria-label="From (UTC)"
            value={asked.from ?? known?.from ?? ""}
            onChange={(event) => choose({ from: event.currentTarget.value })}
          />
          <input
            type="date"
            aria-label="To (UTC)"
            value={asked.to ?? known?.to ?? ""}
            onChange={(event) => choose({ to: event.currentTarget.value })}
          />
          <select
            aria-label="Told apart"
            value={asked.by}
            onChange={(event) => choose({ by: event.currentTarget.value })}
          >
            {Object.entries(GROUPINGS).map(([by, words]) => (
              <option key={by} value={by}>
                {words}
              </option>
            ))}
          </select>
          {(known?.plans.length ?? 0) > 0 && (
            <select
              aria-label="Price plan"
              value={asked.price ?? ""}
              onChange={(event) => choose({ price: event.currentTarget.value || undefined })}
            >
              <option value="">Without a price</option>
              {known?.plans.map((plan) => (
                <option key={plan} value={plan}>
                  {plan}
                </option>
              ))}
            </select>
          )}
        </div>
      </div>
    </section>
  );
}

function Lines({ usage }: { readonly usage: Usage }): JSX.Element {
  const shares = sharesOf(usage);
  const rows = usage.lines.map((line, place) => ({ line, share: shares[place] ?? 0, key: keyOf(usage.by, line) }));
  // Days stay in their order; else what uses most is looked for.
  if (!usage.by.includes("day")) rows.sort((one, other) => other.share - one.share);
  return (
    <>
      <Total usage={usage} />
      <section class="card" aria-label="Usage">
        <Table label="Usage" columns={columnsOf(usage)} rows={rows} keyOf={(row) => row.key} />
      </section>
    </>
  );
}

interface Row {
  readonly line: UsageLine;
  /** Of all that ran. */
  readonly share: number;
  readonly key: string;
}

function keyOf(by: readonly UsageDimension[], line: UsageLine): string {
  return JSON.stringify([...by.map((one) => line[one]), line.kind]);
}

const DIMENSION_LABELS: Readonly<Record<UsageDimension, string>> = {
  day: "Day",
  app: "App",
  function: "Function",
  tag: "Tag",
};

function columnsOf(usage: Usage): readonly Column<Row>[] {
  return [
    ...usage.by.map((dimension): Column<Row> => ({
      id: dimension,
      label: DIMENSION_LABELS[dimension],
      isWide: dimension === "function",
      cell: ({ line }) => named(line[dimension]),
    })),
    ...(usage.by.includes("function")
      ? [{ id: "kind", label: "Kind", cell: ({ line }: Row) => line.kind } satisfies Column<Row>]
      : []),
    number("executions", "Executions", "Turns of orchestrators and attempts of activities", ({ line }) =>
      countText(line.executions),
    ),
    number("memory", "GB-seconds", "Memory over the time of running, as plans price it", ({ line }) =>
      amountText(line.gigabyteSeconds),
    ),
    number("running", "Running", "From the beginning of a turn or an attempt to its end", ({ line }) =>
      spanText(line.runningMicroseconds / 1e6),
    ),
    {
      id: "share",
      label: "Share",
      title: "Of all GB-seconds",
      cell: ({ share }) => (
        <span class="share" title={`${(share * 100).toFixed(1)} %`}>
          <span class="bar" aria-hidden="true">
            <span style={{ width: `${share * 100}%` }} />
          </span>
          <span class="count">{Math.round(share * 100)} %</span>
        </span>
      ),
    },
    number("processor", "Processor", "How long a processor was at work for it, as far as that is known", ({ line }) =>
      spanText(line.processorMicroseconds / 1e6),
    ),
    number("waiting", "Waiting (free)", "Between turns: nothing runs, and no plan charges for it", ({ line }) =>
      spanText(line.waitingMicroseconds / 1e6),
    ),
    number("operations", "Operations", "Rows that were written", ({ line }) => countText(line.operations)),
    number("bytes", "Bytes", "Of histories that were written", ({ line }) => bytesText(line.bytes)),
    ...(usage.plan === null
      ? []
      : [
          number("price", `Price (${usage.currency})`, `What the plan ${usage.plan} would charge`, ({ line }) =>
            priceText(line.price),
          ),
        ]),
  ];
}

function number(id: string, label: string, title: string, cell: (row: Row) => string): Column<Row> {
  return { id, label, title, isNumber: true, cell };
}

function named(value: string | null): JSX.Element {
  return value === "" || value === null ? <span class="quiet-text">none</span> : <strong>{value}</strong>;
}

function Total({ usage }: { readonly usage: Usage }): JSX.Element {
  const { total } = usage;
  const figures: readonly (readonly [string, string])[] = [
    ["Executions", countText(total.executions)],
    ["GB-seconds", amountText(total.gigabyteSeconds)],
    ["Running", spanText(total.runningMicroseconds / 1e6)],
    ["Processor", spanText(total.processorMicroseconds / 1e6)],
    ["Waiting (free)", spanText(total.waitingMicroseconds / 1e6)],
    usage.plan === null
      ? ["Written", bytesText(total.bytes)]
      : [`Price (${usage.plan})`, `${priceText(total.price)} ${usage.currency ?? ""}`],
  ];
  return (
    <ul class="figures" aria-label="All together">
      {figures.map(([label, value]) => (
        <li key={label}>
          <div class="figure">
            <span class="figure-label">{label}</span>
            <span class="figure-value">{value}</span>
          </div>
        </li>
      ))}
    </ul>
  );
}
