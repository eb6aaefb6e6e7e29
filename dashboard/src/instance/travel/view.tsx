/**
 * Time travel: what the orchestrator knew after each of its turns, with its lines and variables.
 *
 * The turn stands in the address. What was read of a turn is kept: a turn does not change any more.
 */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { get, type ApiError } from "../../api/client";
import { returns } from "../../api/connection";
import { countText } from "../../formatting";
import { ErrorNote } from "../../parts/error_note";
import { zone } from "../../preferences";
import { setQuery } from "../../router";
import type { Live } from "../live";
import { Payload } from "../../parts/payload";
import type { Instance, Microseconds, Run, Turn } from "../shapes";
import { Timeline } from "../timeline/timeline";
import { titleOf } from "../timeline/wording";
import { Code } from "./code";
import { inZone } from "../why/wording";
import { isFinished, statusOf } from "../../statuses";
import { Slider } from "./slider";
import { useTurns } from "./turns";

export interface TravelTabProps {
  readonly live: Live;
  readonly row: Instance;
  /** From the address; null stands for the last one that has code. */
  readonly turn: number | null;
}

export function TravelTab({ live, row, turn }: TravelTabProps): JSX.Element {
  const turns = useTurns(live.id, live.changes, row.executionId);
  const list = turns.list.value;
  const error = turns.error.value;
  if (list.length === 0) {
    return error ? (
      <ErrorNote error={error} />
    ) : (
      <p class="quiet-text" aria-busy={turns.isReading.value}>
        {turns.isReading.value ? "Reading its turns …" : "It has had no turn yet."}
      </p>
    );
  }
  // After its last turn an ended one has no code any more: the turn before shows where it stood.
  const opened = isFinished(statusOf(row)) ? list.length - 1 : list.length;
  const at = Math.min(Math.max(turn ?? opened, 1), list.length);
  return (
    <div class="stack">
      <Slider
        turns={list}
        at={at}
        origin={row.createdAt}
        onTurn={(next) => setQuery({ turn: String(next) }, { replace: true })}
      />
      <TurnView live={live} row={row} at={at} />
    </div>
  );
}

function TurnView({
  live,
  row,
  at,
}: {
  readonly live: Live;
  readonly row: Instance;
  readonly at: number;
}): JSX.Element {
  // Code may fit again, or another one: of a held instance nothing is kept beyond its hold.
  const { view, before, error } = useTurn(live.id, `${row.executionId} ${row.hold?.since ?? ""}`, at);
  const run = useMemo(() => view && runThen(row, view), [view, row.instanceId]);
  if (error) return <ErrorNote error={error} />;
  if (!view || !run)
    return (
      <p class="quiet-text" aria-busy="true">
        Going there …
      </p>
    );
  return (
    <>
      <div class="travel-sides">
        <Code view={view} before={before} />
        <div class="stack">
          <Texts title="What arrived" texts={view.arrived ?? []} none="Nothing." look="arrived" />
          <Texts
            title="What it decided"
            texts={view.decided ?? []}
            none="Nothing: it went on waiting."
            look="decided"
          />
          <Texts
            title="What it waits for then"
            texts={(view.waits ?? []).map((wait) => waitText(wait, view))}
            none="Nothing."
            look="waits"
          />
          <section class="stack tight">
            <h2>Custom status</h2>
            {view.customStatus ? (
              <Payload text={view.customStatus} label="Custom status" />
            ) : (
              <p class="quiet-text">None.</p>
            )}
          </section>
        </div>
      </div>
      <section class="stack tight">
        <h2>Its steps then</h2>
        {(view.steps ?? []).length === 0 ? (
          <p class="quiet-text">None yet.</p>
        ) : (
          <Timeline
            run={run}
            whole={live.run.value.value ?? undefined}
            now={view.at}
            line={view.at}
            end={endOf(row, view)}
            selected={null}
            label={`Steps after turn ${view.turn}`}
          />
        )}
      </section>
    </>
  );
}

/** The whole length of the run, so that bars stay where they are while one travels. */
function endOf(row: Instance, view: Turn): Microseconds {
  return Math.max(row.completedAt ?? row.updatedAt ?? view.at, view.at);
}

function runThen(row: Instance, view: Turn): Run {
  const { instanceId, name, createdAt } = row;
  return { record: { instanceId, name, status: "Running", createdAt, updatedAt: view.at }, steps: view.steps ?? [] };
}

function waitText({ kind, name, number }: NonNullable<Turn["waits"]>[number], view: Turn): string {
  const step = view.steps?.find((one) => one.number === number);
  const title = step ? titleOf(step) : name;
  return [kind === "orchestration" ? "child" : kind, title === kind ? "" : title, number ? `(no. ${number})` : ""]
    .filter(Boolean)
    .join(" ");
}

interface TextsProps {
  readonly title: string;
  readonly texts: readonly string[];
  readonly none: string;
  readonly look: string;
}

const MOST_TEXTS = 12;

function Texts({ title, texts, none, look }: TextsProps): JSX.Element {
  const isWhole = useSignal(false);
  const shown = isWhole.value ? texts : texts.slice(0, MOST_TEXTS);
  return (
    <section class="stack tight">
      <h2>{title}</h2>
      {texts.length === 0 ? (
        <p class="quiet-text">{none}</p>
      ) : (
        <ul class={`turn-texts ${look}`}>
          {shown.map((text, index) => (
            <li key={index} class="broken-anywhere">
              {inZone(text, zone.value)}
            </li>
          ))}
          {shown.length < texts.length && (
            <li>
              <button
                type="button"
                class="link"
                onClick={() => (isWhole.value = true)}
              >{`${countText(texts.length - shown.length)} more`}</button>
            </li>
          )}
        </ul>
      )}
    </section>
  );
}

interface TurnRead {
  readonly view: Turn | null;
  /** The turn before it, if that was read. */
  readonly before: Turn | null;
  readonly error: ApiError | null;
}

const ASKED_AFTER = 60;

/** Reads a turn, and the one before it to compare with. Who slides past a turn does not ask for it. */
function useTurn(id: string, execution: string, at: number): TurnRead {
  const back = returns.value;
  const known = useMemo(() => new Map<number, Turn>(), [id, execution, back]);
  const error = useSignal<ApiError | null>(null);
  const version = useSignal(0);
  version.value;
  useEffect(() => {
    const stopping = new AbortController();
    const read = async (turn: number): Promise<void> => {
      if (turn < 1 || known.has(turn)) return;
      const answer = await get<Turn>(
        `/admin/instances/${encodeURIComponent(id)}/turns/${turn}`,
        undefined,
        stopping.signal,
      );
      if (stopping.signal.aborted) return;
      if (answer.ok) known.set(turn, answer.value);
      else if (turn === at) error.value = answer.error;
      version.value += 1;
    };
    error.value = null;
    const timer = setTimeout(() => void read(at).then(() => read(at - 1)), ASKED_AFTER);
    return () => {
      clearTimeout(timer);
      stopping.abort();
    };
  }, [known, at]);
  const view = known.get(at) ?? null;
  const last = useMemo<{ view: Turn | null }>(() => ({ view: null }), [known]);
  if (view) last.view = view;
  // The last one stays until the next is there: no flicker while one slides.
  return { view: view ?? last.view, before: view ? (known.get(at - 1) ?? null) : null, error: error.value };
}
