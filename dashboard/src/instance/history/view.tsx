/** The history's tab: all events as rows, found by kind and text, one looked at, two compared. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { countText, exactText } from "../../formatting";
import { Button } from "../../parts/button";
import { CopyButton } from "../../parts/copy_button";
import { EmptyState } from "../../parts/empty_state";
import { ErrorNote } from "../../parts/error_note";
import { VirtualTable, type VirtualColumn } from "../../parts/virtual_table";
import { zone } from "../../preferences";
import type { Live } from "../live";
import { preview } from "../../json_text";
import type { Instance } from "../shapes";
import { Comparison } from "./comparison";
import { filtered, GROUPS, payloadOf, typeWords, type EventRow, type Group, type HistoryRows } from "./events";
import { EventPane } from "./event_pane";
import { useHistory } from "./store";

const ROW_HEIGHT = 34;

export function HistoryTab({ live, row }: { readonly live: Live; readonly row: Instance }): JSX.Element {
  const history = useHistory(live.id, live.changes, row.executionId);
  const groups = useSignal<ReadonlySet<Group>>(new Set());
  const text = useSignal("");
  const opened = useSignal<EventRow | null>(null);
  const chosen = useSignal<readonly EventRow[]>([]);
  const isComparing = useSignal(false);
  const version = history.version.value;
  const rows = useMemo(
    () => [...filtered(history.rows, { groups: groups.value, text: text.value })],
    [history, version, groups.value, text.value],
  );
  const choose = (one: EventRow): void => {
    const others = chosen.value.filter((other) => other.index !== one.index);
    chosen.value = others.length < chosen.value.length ? others : [...others, one].slice(-2);
  };
  const columns = columnsOf(history.rows, chosen.value, choose, (one) => (opened.value = one));
  const error = history.error.value;
  return (
    <div class={`with-pane ${opened.value ? "open" : ""}`}>
      <div class="stack tight">
        {error && <ErrorNote error={error} retry={() => void history.read()} />}
        <Filters
          groups={groups.value}
          onGroups={(next) => (groups.value = next)}
          text={text.value}
          onText={(next) => (text.value = next)}
        />
        <div class="row">
          <span class="quiet-text small-text" role="status">
            {standing(rows.length, history.rows.rows.length, history.isReading.value)}
          </span>
          {!history.isComplete.value && !history.isReading.value && !error && (
            <Button size="small" onClick={() => void history.readMore()}>
              Read further
            </Button>
          )}
          <Button
            size="small"
            refusal={chosen.value.length === 2 ? null : "Choose two rows by their boxes."}
            onClick={() => (isComparing.value = true)}
          >
            Compare two
          </Button>
          <CopyButton
            text={() =>
              JSON.stringify(
                rows.map((one) => ({ turn: one.turn, at: one.at, ...one.event })),
                null,
                2,
              )
            }
            label="Copy as JSON"
          />
        </div>
        {rows.length === 0 && !history.isReading.value && (
          <EmptyState title={history.rows.rows.length === 0 ? "It has no history yet" : "No event fits"} />
        )}
        {rows.length > 0 && (
          <VirtualTable
            label="History"
            look="history"
            columns={columns}
            rows={rows}
            keyOf={(one) => String(one.index)}
            rowHeight={ROW_HEIGHT}
            total={rows.length}
            isMarked={(one) => one.index === opened.value?.index}
            onOpen={(one) => (opened.value = one)}
          />
        )}
      </div>
      {opened.value && (
        <EventPane
          key={opened.value.index}
          row={opened.value}
          name={history.rows.nameOf(opened.value.event)}
          instanceId={live.id}
          onClose={() => (opened.value = null)}
        />
      )}
      {isComparing.value && chosen.value.length === 2 && (
        <Comparison rows={chosen.value} history={history.rows} onClose={() => (isComparing.value = false)} />
      )}
    </div>
  );
}

function standing(shown: number, all: number, isReading: boolean): string {
  const count = shown === all ? `${countText(all)} events` : `${countText(shown)} of ${countText(all)} events`;
  return isReading ? `${count}, reading on …` : count;
}

function columnsOf(
  history: HistoryRows,
  chosen: readonly EventRow[],
  onChoose: (row: EventRow) => void,
  onOpen: (row: EventRow) => void,
): VirtualColumn<EventRow>[] {
  return [
    {
      id: "choose",
      label: <span class="hidden">Compare</span>,
      cell: (row) => (
        <input
          type="checkbox"
          aria-label={`Compare event ${row.index + 1}, ${row.event.type}`}
          checked={chosen.some((one) => one.index === row.index)}
          onChange={() => onChoose(row)}
        />
      ),
    },
    { id: "turn", label: "Turn", cell: (row) => row.turn, isNumber: true },
    {
      id: "time",
      label: "Time",
      cell: (row) => (
        <span class="time" title={exactText(row.at, zone.value)}>
          {timeOnly(row.at)}
        </span>
      ),
    },
    {
      id: "type",
      label: "Event",
      cell: (row) => (
        <button type="button" class="link" onClick={() => onOpen(row)} title={row.event.type}>
          {typeWords(row.event.type)}
        </button>
      ),
    },
    { id: "name", label: "Name", cell: (row) => history.nameOf(row.event) },
    {
      id: "payload",
      label: "Payload",
      cell: (row) => <code class="quiet-text">{preview(payloadOf(row.event)?.text ?? "")}</code>,
    },
  ];
}

/** The time of day, with milliseconds: the day stands in the title. */
function timeOnly(at: number): string {
  return exactText(at, zone.value).slice(11, 23);
}

interface FiltersProps {
  readonly groups: ReadonlySet<Group>;
  readonly onGroups: (groups: ReadonlySet<Group>) => void;
  readonly text: string;
  readonly onText: (text: string) => void;
}

function Filters({ groups, onGroups, text, onText }: FiltersProps): JSX.Element {
  const toggle = (group: Group): void => {
    const next = new Set(groups);
    if (!next.delete(group)) next.add(group);
    onGroups(next);
  };
  return (
    <div class="row">
      <input
        type="search"
        placeholder="Name, event or payload"
        aria-label="Find by name, event or payload"
        value={text}
        onInput={(event) => onText(event.currentTarget.value)}
      />
      <div class="chips" role="group" aria-label="Kinds of events">
        {GROUPS.map((group) => (
          <button key={group} type="button" class="chip" aria-pressed={groups.has(group)} onClick={() => toggle(group)}>
            {group}
          </button>
        ))}
      </div>
    </div>
  );
}
