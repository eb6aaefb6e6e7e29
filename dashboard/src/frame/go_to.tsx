/** The box that goes to an instance by its id, with those that begin alike (a combobox with a list). */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { listInstances } from "../api/instances";
import type { InstanceRecord } from "../api/types";
import { useKey } from "../keys";
import { KeyHint } from "../parts/key_hint";
import { StatusSign } from "../parts/status_badge";
import { go, instanceAddress } from "../router";
import { standingOf } from "../statuses";
import { Icon } from "./icons";

const SHOWN = 8;
const PAUSE = 150;

export function GoTo(): JSX.Element {
  const field = useRef<HTMLInputElement>(null);
  const text = useSignal("");
  const found = useSignal<readonly InstanceRecord[]>([]);
  const at = useSignal(-1);
  const isOpen = useSignal(false);
  const focus = () => field.current?.focus();
  useKey("/", "Go to an instance", focus);
  useKey("g", "Go to an instance", focus);
  useEffect(() => lookUp(text.value, (records) => (found.value = records)), [text.value]);
  const open = (id: string) => {
    if (id === "") return;
    go(instanceAddress(id));
    text.value = "";
    isOpen.value = false;
    field.current?.blur();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Enter") open(found.value[at.value]?.instanceId ?? text.value.trim());
    else if (event.key === "Escape") field.current?.blur();
    else if (event.key === "ArrowDown") at.value = Math.min(at.value + 1, found.value.length - 1);
    else if (event.key === "ArrowUp") at.value = Math.max(at.value - 1, -1);
    else return;
    event.preventDefault();
  };
  const isShown = isOpen.value && found.value.length > 0;
  return (
    <div class="goto" role="search">
      <Icon name="search" />
      <input
        ref={field}
        role="combobox"
        aria-label="Go to an instance by its id"
        placeholder="Go to instance"
        autocomplete="off"
        spellcheck={false}
        aria-expanded={isShown}
        aria-controls="goto-list"
        aria-activedescendant={isShown && at.value >= 0 ? `goto-${at.value}` : undefined}
        value={text.value}
        onInput={(event) => {
          text.value = event.currentTarget.value;
          at.value = -1;
          isOpen.value = true;
        }}
        onFocus={() => (isOpen.value = true)}
        onBlur={() => (isOpen.value = false)}
        onKeyDown={onKeyDown}
      />
      <KeyHint keys="/" />
      <Suggestions records={isShown ? found.value : []} at={at.value} onChoose={open} />
    </div>
  );
}

interface SuggestionsProps {
  readonly records: readonly InstanceRecord[];
  readonly at: number;
  readonly onChoose: (id: string) => void;
}

function Suggestions({ records, at, onChoose }: SuggestionsProps): JSX.Element {
  const choose = (event: Event, id: string) => {
    // The box would lose the focus first, and the list with it.
    event.preventDefault();
    onChoose(id);
  };
  return (
    <ul
      class={`goto-list ${records.length > 0 ? "shown" : ""}`}
      id="goto-list"
      role="listbox"
      aria-label="Instances that begin alike"
    >
      {records.map((record, index) => (
        <li
          key={record.instanceId}
          id={`goto-${index}`}
          role="option"
          aria-selected={index === at}
          onPointerDown={(event) => choose(event, record.instanceId)}
        >
          <StatusSign status={standingOf(record)} />
          <span class="mono cut">{record.instanceId}</span>
          <span class="quiet-text cut">{record.name}</span>
        </li>
      ))}
    </ul>
  );
}

/** Looks for instances once nothing was typed for a moment. Returns what calls that off. */
function lookUp(text: string, show: (records: readonly InstanceRecord[]) => void): () => void {
  const prefix = text.trim();
  const stopping = new AbortController();
  if (prefix === "") show([]);
  const timer = setTimeout(async () => {
    if (prefix === "") return;
    const answer = await listInstances({ prefix, limit: SHOWN, payloads: false }, stopping.signal);
    if (answer.ok && !stopping.signal.aborted) show(answer.value.records);
  }, PAUSE);
  return () => {
    clearTimeout(timer);
    stopping.abort();
  };
}
