/** Filters under a name: some that everybody needs, and the person's own, kept in this browser. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { Button } from "../../parts/button";
import { Dialog } from "../../parts/dialog";
import { kept } from "../../preferences";
import { address, addressOf } from "../../router";

interface SavedView {
  readonly name: string;
  readonly address: string;
}

const GIVEN: readonly SavedView[] = [
  { name: "All", address: addressOf("instances") },
  { name: "Running", address: addressOf("instances", { status: "pending,running,suspended" }) },
  { name: "Failed lately", address: addressOf("instances", { status: "failed", order: "last_completed" }) },
  { name: "Longest running", address: addressOf("instances", { status: "running", order: "oldest" }) },
];

const saved = kept<readonly SavedView[]>("views", [], (value) => Array.isArray(value) && value.every(isView));

function isView(value: unknown): value is SavedView {
  const { name, address: to } = (value ?? {}) as Partial<SavedView>;
  return typeof name === "string" && typeof to === "string" && to.startsWith("#/instances");
}

export function SavedViews(): JSX.Element {
  const isSaving = useSignal(false);
  const isKnown = [...GIVEN, ...saved.value].some((view) => view.address === address.value);
  return (
    <nav class="chips" aria-label="Saved views">
      {GIVEN.map((view) => (
        <ViewLink key={view.address} view={view} />
      ))}
      {saved.value.map((view) => (
        <span key={view.address} class="chip-part">
          <ViewLink view={view} />
          <button
            type="button"
            class="chip"
            aria-label={`Remove the view ${view.name}`}
            title="Remove this view"
            onClick={() => (saved.value = saved.value.filter((one) => one !== view))}
          >
            ✕
          </button>
        </span>
      ))}
      {!isKnown && (
        <Button kind="quiet" size="small" onClick={() => (isSaving.value = true)}>
          Save this view
        </Button>
      )}
      {isSaving.value && <SaveDialog onClose={() => (isSaving.value = false)} />}
    </nav>
  );
}

function ViewLink({ view }: { readonly view: SavedView }): JSX.Element {
  return (
    <a class="chip" href={view.address} aria-current={view.address === address.value ? "true" : undefined}>
      {view.name}
    </a>
  );
}

function SaveDialog({ onClose }: { readonly onClose: () => void }): JSX.Element {
  const name = useSignal("");
  const fieldId = useId();
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);
  const submit = (event: Event) => {
    event.preventDefault();
    const given = name.value.trim();
    if (given === "") return field.current?.focus();
    saved.value = [...saved.value.filter((view) => view.name !== given), { name: given, address: address.value }];
    return onClose();
  };
  return (
    <Dialog title="Save this view" onClose={onClose}>
      <form class="stack" onSubmit={submit}>
        <div class="field">
          <label for={fieldId}>Name</label>
          <input
            id={fieldId}
            ref={field}
            required
            maxLength={60}
            autocomplete="off"
            value={name.value}
            onInput={(event) => (name.value = event.currentTarget.value)}
          />
          <p class="field-hint">
            It is kept in this browser. To share it, send the page’s address: it has the filters in it.
          </p>
        </div>
        <div class="dialog-actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary">
            Save
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
