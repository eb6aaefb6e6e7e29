/**
 * Sends an instance what it waits for: an event or an answer, from a form made of the awaited type, or as JSON.
 *
 * The JSON goes out as it was written: numbers that JavaScript cannot hold arrive as they are.
 */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useId } from "preact/hooks";
import { get, type ApiError, type Result } from "../../api/client";
import { answerQuestion, ifAsSeen, raiseEvent } from "../../api/instances";
import { useResource } from "../../api/resource";
import { Button } from "../../parts/button";
import { Dialog } from "../../parts/dialog";
import { ErrorNote } from "../../parts/error_note";
import type { Instance, SendForm } from "../shapes";
import type { ActionDialogProps } from "./dialogs";
import { entered, filledIn, formOf, formOfChoices, ONLY, sketched, type Entries, type Form } from "../../forms/fields";
import { FormFields } from "../../forms/form_fields";

export function SendDialog(props: ActionDialogProps & { readonly wanted: SendForm["kind"] }): JSX.Element {
  const { row, wanted, onClose } = props;
  const isRead = useSignal(false);
  // Read once: what somebody fills in must not become the answer to another question.
  const forms = useResource(
    `forms ${row.instanceId}`,
    async (signal) => {
      const path = `/admin/instances/${encodeURIComponent(row.instanceId)}/forms`;
      const answer = await get<readonly SendForm[]>(path, undefined, signal);
      if (answer.ok) isRead.value = true;
      return answer;
    },
    { isOff: isRead.value },
  );
  const fitting = (forms.value.value ?? []).filter((form) => form.kind === wanted);
  return (
    <Dialog title={wanted === "question" ? "Answer" : `Raise an event for ${row.name}`} onClose={onClose} size="wide">
      {forms.value.value === null && forms.error.value === null ? (
        <p aria-busy="true">Reading what it waits for …</p>
      ) : (
        <>
          {forms.error.value && <ErrorNote error={forms.error.value} />}
          <Sending {...props} forms={fitting} />
        </>
      )}
    </Dialog>
  );
}

const OTHER = "";

interface SendingProps extends ActionDialogProps {
  readonly wanted: SendForm["kind"];
  readonly forms: readonly SendForm[];
}

function Sending({ row, wanted, forms, onDone, onClose }: SendingProps): JSX.Element {
  const at = useSignal(forms.length > 0 ? 0 : -1);
  const name = useSignal(OTHER);
  const entries = useSignal<Entries>({});
  const errors = useSignal<Readonly<Record<string, string>>>({});
  const isRaw = useSignal(false);
  const isBusy = useSignal(false);
  const refused = useSignal<ApiError | null>(null);
  const chosen = forms[at.value];
  const form = isRaw.value ? formOf(null) : formFor(chosen);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (isBusy.value) return;
    const read = entered(form, entries.value);
    errors.value = read.errors;
    if (read.text === null) return;
    isBusy.value = true;
    const { text } = read;
    const answer = await ifAsSeen(row, () => sent(row, wanted, chosen, name.value, text));
    isBusy.value = false;
    refused.value = answer.ok ? null : answer.error;
    if (!answer.ok) return;
    onDone(wanted === "question" ? "Answered." : "The event was raised.");
    onClose();
  };
  const choose = (index: number): void => {
    at.value = index;
    entries.value = {};
    errors.value = {};
  };
  /** What was filled in goes along, both ways. */
  const toggleRaw = (): void => {
    refused.value = null;
    const back = isRaw.value ? filledIn(formFor(chosen), entries.value[ONLY] ?? "") : null;
    errors.value = back && "error" in back ? { [ONLY]: back.error } : {};
    if (back && "error" in back) return;
    entries.value = back ? back.entries : { [ONLY]: sketched(form, entries.value) };
    isRaw.value = !isRaw.value;
  };
  return (
    <form class="stack" onSubmit={(event) => void submit(event)} noValidate>
      <Which forms={forms} at={at.value} onChoose={choose} wanted={wanted} />
      {wanted === "event" && chosen === undefined && (
        <NameField value={name.value} onInput={(text) => (name.value = text)} />
      )}
      <FormFields
        form={form}
        entries={entries.value}
        errors={errors.value}
        onEntry={(field, text) => (entries.value = { ...entries.value, [field]: text })}
      />
      {refused.value && <ErrorNote error={refused.value} />}
      <div class="dialog-actions">
        {chosen && hasForm(chosen) && (
          <Button kind="quiet" onClick={toggleRaw}>
            {isRaw.value ? "Use the form" : "Write JSON"}
          </Button>
        )}
        <Button onClick={onClose}>Cancel</Button>
        <Button
          type="submit"
          kind="primary"
          isBusy={isBusy.value}
          refusal={wanted === "question" && !chosen ? "Nothing is asked now." : null}
        >
          {wanted === "question" ? "Answer" : "Raise event"}
        </Button>
      </div>
    </form>
  );
}

function hasForm(chosen: SendForm): boolean {
  return chosen.schema != null || chosen.choices != null;
}

function formFor(chosen: SendForm | undefined): Form {
  if (chosen?.choices) return formOfChoices(chosen.choices);
  return formOf(chosen?.schema);
}

function sent(
  row: Instance,
  wanted: SendForm["kind"],
  chosen: SendForm | undefined,
  name: string,
  text: string,
): Promise<Result<void>> {
  if (wanted === "event") return raiseEvent(row.instanceId, chosen?.name ?? name, text);
  return answerQuestion(row.instanceId, text, chosen?.number ?? chosen?.title ?? undefined);
}

function QuestionText({ form }: { readonly form: SendForm }): JSX.Element {
  return (
    <div class="stack tight">
      <p class="question-title">{form.title ?? form.name}</p>
      {form.text && <p class="question-text broken-anywhere">{form.text}</p>}
    </div>
  );
}

interface WhichProps {
  readonly forms: readonly SendForm[];
  readonly at: number;
  readonly wanted: SendForm["kind"];
  readonly onChoose: (index: number) => void;
}

function Which({ forms, at, wanted, onChoose }: WhichProps): JSX.Element {
  const id = useId();
  if (wanted === "question" && forms.length === 1) return <QuestionText form={forms[0]!} />;
  return (
    <div class="field">
      <label for={id}>{wanted === "question" ? "Question" : "Event"}</label>
      <select id={id} value={String(at)} onChange={(event) => onChoose(Number(event.currentTarget.value))}>
        {forms.map((form, index) => (
          <option key={index} value={String(index)}>
            {form.title ?? form.name ?? ""}
            {wanted === "event" ? " (it waits for this)" : ""}
          </option>
        ))}
        {wanted === "event" && <option value="-1">Another event…</option>}
      </select>
      {wanted === "question" && forms[at]?.text && <p class="question-text broken-anywhere">{forms[at]?.text}</p>}
    </div>
  );
}

function NameField({
  value,
  onInput,
}: {
  readonly value: string;
  readonly onInput: (text: string) => void;
}): JSX.Element {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>Name of the event</label>
      <input
        id={id}
        required
        value={value}
        autocomplete="off"
        onInput={(event) => onInput(event.currentTarget.value)}
      />
      <span class="field-hint">It is kept until the orchestrator asks for an event of this name.</span>
    </div>
  );
}
