/** Publishes an event to a topic, or puts a message into a queue. */

import { useSignal, type Signal } from "@preact/signals";
import type { JSX } from "preact";
import { useId } from "preact/hooks";
import type { ApiError, Result } from "../api/client";
import { publishEvent, queueMessage } from "../api/messages";
import { Button } from "../parts/button";
import { Dialog } from "../parts/dialog";
import { ErrorNote } from "../parts/error_note";
import { addressOf, go } from "../router";

export interface PublishDialogProps {
  readonly kind: "event" | "message";
  /** The topic or queue that is meant at first. */
  readonly place: string;
  /** Those that are known, to choose from. */
  readonly known: readonly string[];
  readonly onClose: () => void;
}

export function PublishDialog({ kind, place, known, onClose }: PublishDialogProps): JSX.Element {
  const isEvent = kind === "event";
  const where = useSignal(place);
  const key = useSignal("");
  const type = useSignal("");
  const id = useSignal("");
  const delay = useSignal("");
  const data = useSignal("");
  const error = useSignal<ApiError | null>(null);
  const isBusy = useSignal(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    if (isBusy.value) return;
    error.value = wrong(data.value, delay.value);
    if (error.value) return;
    isBusy.value = true;
    const name = where.value.trim();
    const own = { ...(id.value && { id: id.value }) };
    const answer: Result<unknown> = isEvent
      ? await publishEvent(
          { topic: name, ...own, ...(key.value && { key: key.value }), ...(type.value && { type: type.value }) },
          data.value,
        )
      : await queueMessage(
          { queue: name, ...own, ...(delay.value && { delaySeconds: Number(delay.value) }) },
          data.value,
        );
    isBusy.value = false;
    error.value = answer.ok ? null : answer.error;
    if (!answer.ok) return;
    onClose();
    go(isEvent ? addressOf("topics", { topic: name }) : addressOf("queues", { queue: name }));
  };
  const listId = useId();
  return (
    <Dialog title={isEvent ? "Publish an event" : "Queue a message"} onClose={onClose}>
      <form class="stack" onSubmit={(event) => void submit(event)}>
        <Text label={isEvent ? "Topic" : "Queue"} value={where} isRequired list={listId} />
        <datalist id={listId}>
          {known.map((one) => (
            <option key={one} value={one} />
          ))}
        </datalist>
        {isEvent && <Text label="Key" value={key} hint="Events with the same key are read in their order." />}
        {isEvent && <Text label="Type" value={type} />}
        {!isEvent && <Text label="Delay in seconds" value={delay} />}
        <Text
          label="Id"
          value={id}
          hint="What is sent again under its id is there once. Without one it gets its own."
        />
        <DataField value={data} />
        {error.value && <ErrorNote error={error.value} />}
        <div class="dialog-actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary" isBusy={isBusy.value}>
            {isEvent ? "Publish" : "Queue"}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

function wrong(data: string, delay: string): ApiError | null {
  const of = (message: string): ApiError => ({ code: "page", message, status: 0 });
  if (delay.trim() !== "" && !(Number(delay) >= 0)) return of("the delay is a number of seconds");
  try {
    JSON.parse(data);
    return null;
  } catch {
    // Any other text would be refused, and the host cannot say more of it.
    return of('the data are not JSON: a text needs quotes, such as "hello"');
  }
}

interface TextProps {
  readonly label: string;
  readonly value: Signal<string>;
  readonly isRequired?: boolean;
  readonly hint?: string;
  readonly list?: string;
}

function Text({ label, value, isRequired = false, hint, list }: TextProps): JSX.Element {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>
        {label} {!isRequired && <span class="quiet-text small-text">(may be left out)</span>}
      </label>
      <input
        id={id}
        list={list}
        required={isRequired}
        autocomplete="off"
        spellcheck={false}
        value={value.value}
        aria-describedby={hint && `${id}-hint`}
        onInput={(event) => (value.value = event.currentTarget.value)}
      />
      {hint && (
        <p class="field-hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  );
}

function DataField({ value }: { readonly value: Signal<string> }): JSX.Element {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>Data as JSON</label>
      <textarea
        id={id}
        rows={6}
        spellcheck={false}
        value={value.value}
        onInput={(event) => (value.value = event.currentTarget.value)}
      />
    </div>
  );
}
