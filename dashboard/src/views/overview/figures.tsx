/** The counts of the moment, each a link to what it counts. */

import type { JSX } from "preact";
import { MOST_COUNTED, type Overview } from "../../api/types";
import { countText, spanText } from "../../formatting";
import { StatusSign } from "../../parts/status_badge";
import { addressOf } from "../../router";
import { heldCount } from "../../holds";

export function Figures({ overview }: { readonly overview: Overview | null }): JSX.Element {
  const instances = overview?.instances;
  const countOf = (count: number | undefined) =>
    count === undefined ? {} : { value: countText(count), isCut: count >= MOST_COUNTED };
  const backlog = overview?.backlog;
  return (
    <ul class="figures" aria-label="How much is going on" aria-busy={overview === null}>
      <Figure
        label="Running"
        {...countOf(instances?.running)}
        sign="running"
        address={addressOf("instances", { status: "running", held: "false" })}
      />
      <Figure
        label="Pending"
        {...countOf(instances?.pending)}
        sign="pending"
        address={addressOf("instances", { status: "pending", held: "false" })}
      />
      <Figure
        label="Suspended"
        {...countOf(instances?.suspended)}
        sign="suspended"
        address={addressOf("instances", { status: "suspended", held: "false" })}
      />
      <Figure
        label="Held"
        {...countOf(instances ? heldCount(overview) : undefined)}
        sign="held"
        address={addressOf("held")}
      />
      <Figure
        label="Queued"
        value={backlog && countText(backlog.turns + backlog.activities)}
        note={
          backlog &&
          `${countText(backlog.turns)} turns, ${countText(backlog.activities)} activities; ${countText(backlog.running)} run`
        }
        address={addressOf("functions")}
      />
      <Figure
        label="Oldest wait"
        value={backlog && (backlog.oldestSeconds === null ? "none" : spanText(backlog.oldestSeconds))}
        note="of what could run now"
        address={addressOf("functions")}
      />
    </ul>
  );
}

interface FigureProps {
  readonly label: string;
  readonly value?: string | undefined;
  /** Counting was given up there: it is more. */
  readonly isCut?: boolean;
  readonly note?: string | undefined;
  readonly sign?: string;
  readonly address: string;
}

function Figure({ label, value, isCut = false, note, sign, address }: FigureProps): JSX.Element {
  return (
    <li>
      <a class="figure" href={address}>
        <span class="figure-label">
          {sign && <StatusSign status={sign} />}
          {label}
        </span>
        <span class={`figure-value ${value === "0" || value === "none" ? "none" : ""}`}>
          {isCut && <span class="figure-about">more than </span>}
          {value ?? "–"}
        </span>
        {note && <span class="figure-note">{note}</span>}
      </a>
    </li>
  );
}
