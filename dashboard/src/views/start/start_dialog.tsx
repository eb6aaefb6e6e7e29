/** Starts an orchestration: which one, its input as a form or as JSON, its id if one is wanted. */

import { useSignal, type Signal } from "@preact/signals";
import type { JSX } from "preact";
import { useId, useMemo } from "preact/hooks";
import { get, type ApiError } from "../../api/client";
import { readInstance, startInstance } from "../../api/instances";
import { useResource } from "../../api/resource";
import type { FunctionInfo, Functions, Instance } from "../../api/types";
import { entered, filledIn, formOf, sketched, type Entries, type Form } from "../../forms/fields";
import { Button } from "../../parts/button";
import { Dialog } from "../../parts/dialog";
import { ErrorNote } from "../../parts/error_note";
import { ReadError } from "../../parts/read_error";
import { FormFields } from "../../forms/form_fields";
import { go, instanceAddress } from "../../router";
import { Conflict } from "./conflict";
import { inputSchema, inputSketch } from "./input_schema";

export interface StartDialogProps {
  /** Which orchestrator is chosen at first. */
  readonly name?: string;
  readonly onClose: () => void;
}

export function StartDialog({ name, onClose }: StartDialogProps): JSX.Element {
  const functions = useResource("functions", () => get<Functions>("/admin/functions"));
  const orchestrators = functions.value.value?.orchestrators;
  const chosen = useSignal(name ?? "");
  const info = orchestrators?.find((one) => one.name === chosen.value) ?? orchestrators?.[0];
  const selectId = useId();
  const formId = useId();
  return (
    <Dialog title="Start an orchestration" onClose={onClose}>
      <ReadError of={functions} isEmpty={functions.value.value === null} />
      {orchestrators?.length === 0 && <p class="quiet-text">This host has no orchestrator to start.</p>}
      {orchestrators && info && (
        <>
          <div class="field">
            <label for={selectId}>Orchestrator</label>
            <select
              id={selectId}
              class={name === undefined ? "dialog-first" : ""}
              value={info.name}
              onKeyDown={(event) => {
                if (event.key === "Enter") (document.getElementById(formId) as HTMLFormElement | null)?.requestSubmit();
              }}
              onChange={(event) => (chosen.value = event.currentTarget.value)}
            >
              {orchestrators.map((one) => (
                <option key={one.name} value={one.name}>
                  {one.name}
                </option>
              ))}
            </select>
          </div>
          <StartForm key={info.name} formId={formId} info={info} onClose={onClose} />
        </>
      )}
    </Dialog>
  );
}

interface StartFormProps {
  readonly formId: string;
  readonly info: FunctionInfo;
  readonly onClose: () => void;
}

function StartForm({ info, formId, onClose }: StartFormProps): JSX.Element {
  const input = useInput(info);
  const id = useSignal("");
  const failure = useSignal<ApiError | null>(null);
  const isBusy = useSignal(false);
  const idField = useId();
  const other = useSignal<Instance | null>(null);
  const start = async (reuse: "never" | "when_finished") => {
    const read = input.read();
    if (read === null || isBusy.value) return;
    isBusy.value = true;
    const wanted = id.value.trim();
    const answer = await startInstance({ name: info.name, ...read, ...(wanted && { instanceId: wanted, reuse }) });
    other.value = !answer.ok && answer.error.status === 409 && wanted ? await found(wanted) : null;
    isBusy.value = false;
    failure.value = answer.ok || other.value !== null ? null : answer.error;
    if (!answer.ok) return;
    onClose();
    go(instanceAddress(answer.value.instanceId));
  };
  const submit = (event: Event) => {
    event.preventDefault();
    void start("never");
  };
  return (
    <form id={formId} class="stack" onSubmit={submit}>
      <InputFields input={input} />
      <div class="field">
        <label for={idField}>
          Instance id <span class="quiet-text small-text">(may be left out)</span>
        </label>
        <input
          id={idField}
          autocomplete="off"
          spellcheck={false}
          value={id.value}
          onInput={(event) => {
            id.value = event.currentTarget.value;
            other.value = null;
          }}
        />
      </div>
      {other.value && (
        <Conflict other={other.value} isBusy={isBusy.value} onReplace={() => void start("when_finished")} />
      )}
      {failure.value && <ErrorNote error={failure.value} />}
      <div class="dialog-actions">
        <Button onClick={onClose}>Cancel</Button>
        <Button type="submit" kind="primary" isBusy={isBusy.value}>
          Start
        </Button>
      </div>
    </form>
  );
}

/** The instance that has an id already; null when it is gone again. */
async function found(id: string): Promise<Instance | null> {
  const answer = await readInstance(id);
  return answer.ok ? answer.value : null;
}

/** What was filled in so far, as a form or as JSON. */
interface Input {
  /** Null when the orchestrator takes no input. */
  readonly form: Form | null;
  readonly isRaw: Signal<boolean>;
  readonly raw: Signal<string>;
  readonly entries: Signal<Entries>;
  /** From the form to JSON or back; what was filled in goes along. */
  readonly toggle: () => void;
  readonly errors: Signal<Readonly<Record<string, string>>>;
  /** The JSON of it; null when something is wrong, which then stands in `errors`. */
  readonly read: () => { readonly inputText?: string } | null;
}

function useInput(info: FunctionInfo): Input {
  const form = useMemo(() => {
    const schema = inputSchema(info);
    return schema && formOf(schema);
  }, [info]);
  const isRaw = useSignal(false);
  const raw = useSignal(inputSketch(info));
  const entries = useSignal<Entries>({});
  const errors = useSignal<Readonly<Record<string, string>>>({});
  const read = () => {
    if (form === null) return {};
    const { text, errors: wrong } = isRaw.value ? readRaw(raw.value) : entered(form, entries.value);
    errors.value = wrong;
    return text === null ? null : { inputText: text };
  };
  const toggle = () => {
    if (form === null) return;
    const back = isRaw.value ? filledIn(form, raw.value) : null;
    errors.value = back && "error" in back ? { raw: back.error } : {};
    if (back && "error" in back) return;
    if (back) entries.value = back.entries;
    // Where nothing was filled in yet, the names with something of their types are of more use than nothing.
    else raw.value = Object.keys(entries.value).length > 0 ? sketched(form, entries.value) : inputSketch(info);
    isRaw.value = !isRaw.value;
  };
  return { form, isRaw, raw, entries, errors, read, toggle };
}

function InputFields({ input }: { readonly input: Input }): JSX.Element {
  const { form, isRaw, raw, entries, errors } = input;
  if (form === null) return <p class="quiet-text">It takes no input.</p>;
  return (
    <fieldset class="stack tight form-input">
      <legend class="row spread">
        <span class="field-label">Input</span>
        <Button kind="quiet" size="small" pressed={isRaw.value} onClick={input.toggle}>
          As JSON
        </Button>
      </legend>
      {isRaw.value ? (
        <RawInput value={raw.value} error={errors.value["raw"]} onInput={(text) => (raw.value = text)} />
      ) : (
        <FormFields
          form={form}
          entries={entries.value}
          errors={errors.value}
          onEntry={(name, value) => (entries.value = { ...entries.value, [name]: value })}
        />
      )}
    </fieldset>
  );
}

interface RawInputProps {
  readonly value: string;
  readonly error: string | undefined;
  readonly onInput: (text: string) => void;
}

function RawInput({ value, error, onInput }: RawInputProps): JSX.Element {
  return (
    <div class="field">
      <textarea
        aria-label="Input as JSON"
        rows={8}
        spellcheck={false}
        value={value}
        aria-invalid={error !== undefined}
        onInput={(event) => onInput(event.currentTarget.value)}
      />
      {error && <p class="field-wrong">{error}</p>}
    </div>
  );
}

function readRaw(text: string): { readonly text: string | null; readonly errors: Readonly<Record<string, string>> } {
  try {
    JSON.parse(text);
    return { text, errors: {} };
  } catch (error) {
    // What the parser says names the place.
    return {
      text: null,
      errors: { raw: `This is not JSON: ${error instanceof Error ? error.message : "no reason given"}` },
    };
  }
}
