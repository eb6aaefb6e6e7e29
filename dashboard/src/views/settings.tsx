/** The settings in force and where each came from. Secrets are hidden by the host. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { get } from "../api/client";
import { useResource } from "../api/resource";
import { refusal } from "../api/session";
import type { HostInfo, Setting } from "../api/types";
import { counted, spanText } from "../formatting";
import { EmptyState } from "../parts/empty_state";
import { ReadError } from "../parts/read_error";
import { Table, type Column } from "../parts/table";
import { ViewHead } from "../parts/view_head";

export function SettingsView(): JSX.Element {
  const refused = refusal("admin");
  return (
    <>
      <ViewHead
        title="Settings"
        about="What this host runs with, and where each value came from. Secrets are hidden."
      />
      {refused ? (
        <div class="card">
          <EmptyState title="Settings are for administrators">{refused}</EmptyState>
        </div>
      ) : (
        <Settings />
      )}
    </>
  );
}

function Settings(): JSX.Element {
  const info = useResource("info", () => get<HostInfo>("/admin/info"));
  const text = useSignal("");
  const isChangedOnly = useSignal(false);
  const known = info.value.value;
  const all = known?.settings ?? [];
  const rows = all.filter(
    (one) =>
      one.key.includes(text.value.trim().toLowerCase()) &&
      (!isChangedOnly.value || (one.source !== null && one.source !== "default")),
  );
  return (
    <>
      <ReadError of={info} isEmpty={info.value.value === null} />
      <p class="quiet-text">
        {known
          ? `Tenuto ${known.version}, Python ${known.python}, store ${known.storage}; up for ${spanText(known.uptimeSeconds)}.`
          : "Reading…"}
      </p>
      <div class="row">
        <input
          type="search"
          aria-label="Find a setting"
          placeholder="Find a setting"
          value={text.value}
          onInput={(event) => (text.value = event.currentTarget.value)}
        />
        <label class="check">
          <input
            type="checkbox"
            checked={isChangedOnly.value}
            onChange={(event) => (isChangedOnly.value = event.currentTarget.checked)}
          />
          Only those that were changed
        </label>
        <span class="quiet-text" role="status">
          {known && counted(rows.length, "setting")}
        </span>
      </div>
      <section class="card" aria-label="Settings" aria-busy={known === null}>
        <Table label="Settings in force" columns={COLUMNS} rows={rows} keyOf={(one) => one.key} />
      </section>
    </>
  );
}

const COLUMNS: readonly Column<Setting>[] = [
  { id: "key", label: "Setting", cell: (one) => <code class="broken-anywhere">{one.key}</code> },
  { id: "value", label: "Value", isWide: true, cell: (one) => <code>{valueText(one.value)}</code> },
  {
    id: "source",
    label: "From",
    cell: (one) => (
      <span class={one.source === "default" ? "quiet-text" : "changed-setting"}>{one.source ?? "not known"}</span>
    ),
  },
];

function valueText(value: unknown): string {
  if (value === null) return "none";
  return typeof value === "string" ? value : JSON.stringify(value);
}
