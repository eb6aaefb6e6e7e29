/** Messages, events and files that were put aside after their last attempt: give them back, or drop them. */

import { useSignal, type Signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { get } from "../api/client";
import type { FailedDelivery, Redriven } from "../api/types";
import { counted, countText } from "../formatting";
import { EmptyState } from "../parts/empty_state";
import { ReadError } from "../parts/read_error";
import { Payload } from "../parts/payload";
import { Time } from "../parts/time";
import { ViewHead } from "../parts/view_head";
import { addressOf, go, route } from "../router";
import { DeliveryActions } from "./delivery_actions";
import { MoreButton } from "./more_button";
import { stillThere, usePaged } from "./paged";

const PAGE = 100;
const OFTEN = 3_000;
const OUTCOME_SHOWN_FOR = 60_000;
const SOURCES = ["queue", "topic", "files"] as const;

export function FailedDeliveriesView(): JSX.Element {
  const { source, name } = route.value.query;
  const list = usePaged<FailedDelivery>(`${source ?? ""} ${name ?? ""}`, (after) => readPage(source, name, after), {
    every: OFTEN,
  });
  const chosen = useSignal<ReadonlySet<number>>(new Set());
  const outcome = useOutcome();
  const rows = list.rows.value ?? [];
  useEffect(() => {
    chosen.value = stillThere(
      chosen.value,
      rows.map((row) => row.number),
    );
  }, [list.rows.value]);
  return (
    <>
      <ViewHead
        title="Failed deliveries"
        about="Functions that events start failed with these at every attempt, so they were put aside. Once the reason is gone, give them back."
      />
      <div class="chips" role="group" aria-label="Source">
        <SourceLink label="All" isChosen={!source} />
        {SOURCES.map((one) => (
          <SourceLink key={one} label={SOURCE_WORDS[one]} source={one} isChosen={source === one} />
        ))}
      </div>
      <ReadError of={list} isEmpty={list.rows.value === null} />
      <OutcomeNote outcome={outcome.value} />
      {list.rows.value !== null && rows.length === 0 && !outcome.value?.count && (
        <div class="card">
          <EmptyState title="Nothing was put aside" isSure={list.isFresh.value}>
            Every function got through with what it was given.
          </EmptyState>
        </div>
      )}
      {rows.length > 0 && (
        <Deliveries rows={rows} chosen={chosen.value} onChoose={(next) => (chosen.value = next)}>
          <DeliveryActions
            numbers={chosen.value}
            onDone={(redriven) => {
              outcome.value = redriven;
              list.reload();
            }}
          />
        </Deliveries>
      )}
      <MoreButton list={list} />
    </>
  );
}

async function readPage(source: string | undefined, name: string | undefined, after: string | null) {
  const answer = await get<readonly FailedDelivery[]>("/admin/failed-deliveries", { source, name, after, limit: PAGE });
  if (!answer.ok) return answer;
  const last = answer.value.length === PAGE ? answer.value.at(-1) : undefined;
  return { ...answer, value: { rows: answer.value, after: last ? String(last.number) : null } };
}

/** What came of giving back, for as long as its functions may still be at it. */
function useOutcome(): Signal<Redriven | null> {
  const outcome = useSignal<Redriven | null>(null);
  useEffect(() => {
    if (outcome.value === null) return undefined;
    const timer = setTimeout(() => (outcome.value = null), OUTCOME_SHOWN_FOR);
    return () => clearTimeout(timer);
  }, [outcome.value]);
  return outcome;
}

function OutcomeNote({ outcome }: { readonly outcome: Redriven | null }): JSX.Element | null {
  if (outcome === null) return null;
  const { count, left } = outcome;
  return (
    <div role="status" class="stack tight">
      {count > 0 && (
        <p class="note">
          {counted(count, "delivery was", "deliveries were")} given back. What fails again at every attempt appears here
          once more, by itself.
        </p>
      )}
      {left.length > 0 && (
        <p class="note warning">
          {counted(left.length, "message stays", "messages stay")} put aside: another one with the same id is in the
          queue again.
        </p>
      )}
    </div>
  );
}

const SOURCE_WORDS: Readonly<Record<(typeof SOURCES)[number], string>> = {
  queue: "Queues",
  topic: "Topics",
  files: "Files",
};

function SourceLink({
  label,
  source,
  isChosen,
}: {
  readonly label: string;
  readonly source?: string;
  readonly isChosen: boolean;
}): JSX.Element {
  return (
    <button
      type="button"
      class="chip"
      aria-pressed={isChosen}
      onClick={() => go(addressOf("failed-deliveries", { source }), { replace: true })}
    >
      {label}
    </button>
  );
}

interface DeliveriesProps {
  readonly rows: readonly FailedDelivery[];
  readonly chosen: ReadonlySet<number>;
  readonly onChoose: (chosen: ReadonlySet<number>) => void;
  readonly children: JSX.Element;
}

function Deliveries({ rows, chosen, onChoose, children }: DeliveriesProps): JSX.Element {
  const toggle = (number: number) => {
    const next = new Set(chosen);
    if (!next.delete(number)) next.add(number);
    onChoose(next);
  };
  const isAll = chosen.size === rows.length;
  return (
    <section class="card" aria-label="Failed deliveries">
      <header class="card-head">
        <label class="check">
          <input
            type="checkbox"
            checked={isAll}
            indeterminate={!isAll && chosen.size > 0}
            onChange={() => onChoose(isAll ? new Set() : new Set(rows.map((row) => row.number)))}
          />
          {chosen.size > 0 ? `${countText(chosen.size)} chosen` : "Choose all"}
        </label>
        {children}
      </header>
      <ul class="items">
        {rows.map((row) => (
          <li key={row.number} class="row-with-choice">
            <label class="choose">
              <input
                type="checkbox"
                aria-label={`Choose ${row.messageId}`}
                checked={chosen.has(row.number)}
                onChange={() => toggle(row.number)}
              />
            </label>
            <DeliveryItem row={row} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function DeliveryItem({ row }: { readonly row: FailedDelivery }): JSX.Element {
  return (
    <details class="item">
      <summary>
        <span class="item-main">
          <span>
            <strong>{row.function}</strong>{" "}
            <span class="quiet-text">
              {row.source} {row.name}
            </span>
          </span>
          <span class="failure-message">{row.error}</span>
        </span>
        <span class="quiet-text small-text">
          {counted(row.attempts, "attempt")}, <Time at={row.failedAt} />
        </span>
      </summary>
      <div class="item-body">
        <dl class="facts">
          <dt>Message</dt>
          <dd class="mono">{row.messageId}</dd>
          {row.key && <dt>Key</dt>}
          {row.key && <dd class="mono">{row.key}</dd>}
          {row.cause && <dt>Came of</dt>}
          {row.cause && <dd class="mono">{row.cause}</dd>}
          {row.cameAt && <dt>Came</dt>}
          {row.cameAt && (
            <dd>
              <Time at={row.cameAt} look="exact" />
            </dd>
          )}
        </dl>
        <Payload value={row.content} label="Its content" />
      </div>
    </details>
  );
}
