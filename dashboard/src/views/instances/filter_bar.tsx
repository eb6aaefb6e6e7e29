/** The filters above the list. Each change is a new address. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { get } from "../../api/client";
import { useResource } from "../../api/resource";
import type { Functions } from "../../api/types";
import { Button } from "../../parts/button";
import { StatusSign } from "../../parts/status_badge";
import { SHOWN_STATUSES, type Status } from "../../statuses";
import { EVERYTHING, ORDERS, queryOf, RANGE_WORDS, type Filter, type Order, type Range } from "./filter";

const TYPING_PAUSE = 250;
const OWN_RANGE = "own";

export interface FilterBarProps {
  readonly filter: Filter;
  readonly onChange: (changes: Partial<Filter>) => void;
}

export function FilterBar({ filter, onChange }: FilterBarProps): JSX.Element {
  const isOpen = useSignal(false);
  const count = Object.values(queryOf({ ...filter, order: "newest" })).filter((value) => value !== undefined).length;
  return (
    <section class={`filters ${isOpen.value ? "open" : ""}`} aria-label="Filters">
      <div class="filters-toggle">
        <Button expanded={isOpen.value} onClick={() => (isOpen.value = !isOpen.value)}>
          Filters{count > 0 ? ` (${count})` : ""}
        </Button>
      </div>
      <div class="filters-body">
        <StatusChips filter={filter} onChange={onChange} />
        <div class="filters-fields">
          <TypedField
            label="Instance id begins with"
            value={filter.prefix}
            onChange={(prefix) => onChange({ prefix })}
          />
          <NameField filter={filter} onChange={onChange} />
          <RangeField filter={filter} onChange={onChange} />
          <OrderField filter={filter} onChange={onChange} />
          {count > 0 && (
            <Button kind="quiet" onClick={() => onChange({ ...EVERYTHING, order: filter.order })}>
              Clear
            </Button>
          )}
        </div>
      </div>
    </section>
  );
}

function StatusChips({ filter, onChange }: FilterBarProps): JSX.Element {
  const toggle = (status: Status) => {
    const statuses = filter.statuses.includes(status)
      ? filter.statuses.filter((one) => one !== status)
      : [...filter.statuses, status];
    onChange({ statuses: SHOWN_STATUSES.filter((one) => statuses.includes(one)) });
  };
  return (
    <div class="chips" role="group" aria-label="Status">
      {SHOWN_STATUSES.map((status) => (
        <button
          key={status}
          type="button"
          class="chip"
          aria-pressed={filter.statuses.includes(status)}
          onClick={() => toggle(status)}
        >
          <StatusSign status={status} />
          {status}
        </button>
      ))}
      <button
        type="button"
        class="chip"
        aria-pressed={filter.held === true}
        onClick={() => onChange({ held: filter.held === true ? null : true })}
      >
        <StatusSign status="held" />
        Held
      </button>
    </div>
  );
}

interface TypedFieldProps {
  readonly label: string;
  readonly value: string;
  readonly list?: string;
  readonly onChange: (value: string) => void;
}

/** A field whose value counts once nothing was typed for a moment. */
function TypedField({ label, value, list, onChange }: TypedFieldProps): JSX.Element {
  const typed = useSignal(value);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => {
    typed.value = value;
  }, [value]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const input = (text: string) => {
    typed.value = text;
    clearTimeout(timer.current);
    timer.current = setTimeout(() => onChange(text.trim()), TYPING_PAUSE);
  };
  return (
    <input
      type="search"
      aria-label={label}
      placeholder={label}
      list={list}
      autocomplete="off"
      spellcheck={false}
      value={typed.value}
      onInput={(event) => input(event.currentTarget.value)}
    />
  );
}

function NameField({ filter, onChange }: FilterBarProps): JSX.Element {
  const listId = useId();
  const functions = useResource("functions", () => get<Functions>("/admin/functions"));
  return (
    <>
      <TypedField label="Orchestrator" value={filter.name} list={listId} onChange={(name) => onChange({ name })} />
      <datalist id={listId}>
        {(functions.value.value?.orchestrators ?? []).map((one) => (
          <option key={one.name} value={one.name} />
        ))}
      </datalist>
    </>
  );
}

function RangeField({ filter, onChange }: FilterBarProps): JSX.Element {
  const isOwn = useSignal(filter.createdFrom !== "" || filter.createdTo !== "");
  const isEmpty = filter.createdFrom === "" && filter.createdTo === "";
  useEffect(() => {
    // Cleared, or another address: what one has chosen just now has been empty before.
    if (isEmpty) isOwn.value = false;
  }, [isEmpty]);
  const choose = (value: string) => {
    isOwn.value = value === OWN_RANGE;
    onChange({ range: value === OWN_RANGE || value === "" ? null : (value as Range), createdFrom: "", createdTo: "" });
  };
  return (
    <>
      <select
        aria-label="Created"
        value={isOwn.value ? OWN_RANGE : (filter.range ?? "")}
        onChange={(event) => choose(event.currentTarget.value)}
      >
        <option value="">Created at any time</option>
        {Object.entries(RANGE_WORDS).map(([range, words]) => (
          <option key={range} value={range}>
            {words}
          </option>
        ))}
        <option value={OWN_RANGE}>From … to (UTC)</option>
      </select>
      {isOwn.value && (
        <>
          <input
            type="datetime-local"
            aria-label="Created from (UTC)"
            value={filter.createdFrom}
            onChange={(event) => onChange({ createdFrom: event.currentTarget.value })}
          />
          <input
            type="datetime-local"
            aria-label="Created until (UTC)"
            value={filter.createdTo}
            onChange={(event) => onChange({ createdTo: event.currentTarget.value })}
          />
        </>
      )}
    </>
  );
}

function OrderField({ filter, onChange }: FilterBarProps): JSX.Element {
  return (
    <select
      aria-label="Order"
      value={filter.order}
      onChange={(event) => onChange({ order: event.currentTarget.value as Order })}
    >
      {Object.entries(ORDERS).map(([order, words]) => (
        <option key={order} value={order}>
          {words}
        </option>
      ))}
    </select>
  );
}
