/** The rows of the list. */

import { useSignal, type Signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { countText } from "../../formatting";
import { EmptyState } from "../../parts/empty_state";
import { StatusBadge } from "../../parts/status_badge";
import { Duration, Time } from "../../parts/time";
import { VirtualTable, type VirtualColumn } from "../../parts/virtual_table";
import { addressOf, go, instanceAddress } from "../../router";
import { queryOf, EVERYTHING, type Filter } from "./filter";
import type { InstanceList } from "./list";
import type { Row } from "./rows";

const NARROW = "(max-width: 719px)";
const ROW_HEIGHT = 40;
const NARROW_ROW_HEIGHT = 76;

export interface InstanceTableProps {
  readonly list: InstanceList;
  readonly filter: Filter;
  readonly chosen: Signal<ReadonlySet<string>>;
}

export function InstanceTable({ list, filter, chosen }: InstanceTableProps): JSX.Element {
  const isNarrow = useMatch(NARROW);
  list.version.value;
  const rows = list.rows.all;
  if (rows.length === 0 && list.isComplete.value) return <NoRows filter={filter} isSure={list.isFresh.value} />;
  return (
    <VirtualTable
      key={list.beginnings.value}
      label="Instances"
      look="of-instances"
      columns={columnsOf(list, chosen)}
      rows={rows}
      keyOf={(row) => row.id}
      rowHeight={isNarrow ? NARROW_ROW_HEIGHT : ROW_HEIGHT}
      total={list.isComplete.value ? rows.length : -1}
      onEnd={() => void list.more()}
      onOpen={(row) => go(instanceAddress(row.id))}
      isMarked={(row) => chosen.value.has(row.id)}
      place={list}
      foot={<Foot list={list} />}
    />
  );
}

function columnsOf(list: InstanceList, chosen: Signal<ReadonlySet<string>>): readonly VirtualColumn<Row>[] {
  return [
    {
      id: "choose",
      label: <ChooseAll list={list} chosen={chosen} />,
      cell: (row) => <Choose id={row.id} chosen={chosen} />,
    },
    { id: "status", label: "Status", cell: (row) => <RowStatus row={row} /> },
    {
      id: "id",
      label: "Instance",
      cell: (row) => (
        <a class="mono" href={instanceAddress(row.id)} title={row.id}>
          {row.id}
        </a>
      ),
    },
    { id: "name", label: "Orchestrator", cell: (row) => <span title={row.name}>{row.name}</span> },
    {
      id: "note",
      label: <span title="Why it is held or failed, or the status that its code has set">Note</span>,
      cell: (row) => (
        <span class="quiet-text" title={row.note}>
          {row.note}
        </span>
      ),
    },
    { id: "created", label: "Created", isNumber: true, cell: (row) => <Time at={row.createdAt} /> },
    {
      id: "duration",
      label: "Took",
      isNumber: true,
      cell: (row) => <Duration from={row.createdAt} until={row.endedAt} />,
    },
  ];
}

function RowStatus({ row }: { readonly row: Row }): JSX.Element {
  if (row.isPurged) return <StatusBadge status="terminated">Deleted</StatusBadge>;
  if (row.holdReason) return <StatusBadge status="held" />;
  return <StatusBadge status={row.status} />;
}

function Choose({ id, chosen }: { readonly id: string; readonly chosen: Signal<ReadonlySet<string>> }): JSX.Element {
  const change = (isChosen: boolean) => {
    const next = new Set(chosen.value);
    if (isChosen) next.add(id);
    else next.delete(id);
    chosen.value = next;
  };
  return (
    <label class="choose">
      <input
        type="checkbox"
        aria-label={`Choose ${id}`}
        checked={chosen.value.has(id)}
        onChange={(event) => change(event.currentTarget.checked)}
      />
    </label>
  );
}

function ChooseAll({ list, chosen }: Omit<InstanceTableProps, "filter">): JSX.Element {
  const rows = list.rows.all;
  const isAll = rows.length > 0 && chosen.value.size >= rows.length;
  return (
    <label class="choose">
      <input
        type="checkbox"
        aria-label="Choose all that are listed"
        title={
          list.isComplete.value ? "Choose all" : `Choose the ${countText(rows.length)} that are loaded; there are more`
        }
        checked={isAll}
        indeterminate={!isAll && chosen.value.size > 0}
        onChange={() => (chosen.value = isAll ? new Set() : new Set(rows.map((row) => row.id)))}
      />
    </label>
  );
}

function Foot({ list }: { readonly list: InstanceList }): JSX.Element | null {
  if (list.isComplete.value || list.rows.all.length === 0) return null;
  return <p class="virtual-foot quiet-text">Reading more…</p>;
}

function NoRows({ filter, isSure }: { readonly filter: Filter; readonly isSure: boolean }): JSX.Element {
  const isFiltered = Object.values(queryOf({ ...filter, order: "newest" })).some((value) => value !== undefined);
  return (
    <div class="card">
      {isFiltered ? (
        <EmptyState title="No instance fits" isSure={isSure}>
          <a href={addressOf("instances", queryOf(EVERYTHING))}>Show all instances</a>
        </EmptyState>
      ) : (
        <EmptyState title="There is no instance yet" isSure={isSure}>
          <p>Start one with the button above; it appears here by itself.</p>
        </EmptyState>
      )}
    </div>
  );
}

function useMatch(query: string): boolean {
  const matches = useSignal(matchMedia(query).matches);
  useEffect(() => {
    const media = matchMedia(query);
    const change = () => (matches.value = media.matches);
    media.addEventListener("change", change);
    return () => media.removeEventListener("change", change);
  }, [query]);
  return matches.value;
}
