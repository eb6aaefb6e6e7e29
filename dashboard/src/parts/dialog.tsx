/** A dialog of the browser's own (`<dialog>`): it holds the focus, Escape closes it. */

import type { ComponentChildren, JSX } from "preact";
import { useSignal } from "@preact/signals";
import { useEffect, useId, useRef } from "preact/hooks";
import type { ApiError, Result } from "../api/client";
import { Button } from "./button";
import { ErrorNote } from "./error_note";

/** Where a dialog begins: at its first field, else at what does it, or calls it off when it is dangerous. */
const FIRST = [
  ".dialog-first, form :is(input, select, textarea):not([disabled])",
  ".dialog-actions .primary",
  ".dialog-actions .button",
];

export interface DialogProps {
  readonly title: string;
  readonly onClose: () => void;
  readonly children: ComponentChildren;
  readonly size?: "normal" | "wide";
}

/** Is shown for as long as it is rendered. */
export function Dialog({ title, onClose, children, size = "normal" }: DialogProps): JSX.Element {
  const element = useRef<HTMLDialogElement>(null);
  const head = useRef<HTMLHeadingElement>(null);
  const titleId = useId();
  useEffect(() => {
    const dialog = element.current;
    dialog?.showModal();
    head.current?.focus();
    return () => dialog?.close();
  }, []);
  // Fields may come later, once what they are for has been read.
  useEffect(() => {
    if (document.activeElement === head.current) firstOf(element.current)?.focus();
  });
  return (
    <dialog
      ref={element}
      class={`dialog ${size}`}
      aria-labelledby={titleId}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => {
        if (event.target === element.current) onClose();
      }}
    >
      <div class="dialog-body">
        <div class="dialog-head">
          <h2 id={titleId} ref={head} tabIndex={-1}>
            {title}
          </h2>
          <Button kind="quiet" size="small" label="Close" onClick={onClose}>
            ✕
          </Button>
        </div>
        {children}
      </div>
    </dialog>
  );
}

function firstOf(dialog: HTMLElement | null): HTMLElement | undefined {
  for (const selector of FIRST) {
    const found = dialog?.querySelector<HTMLElement>(selector);
    if (found) return found;
  }
  return undefined;
}

export interface ConfirmationProps {
  readonly title: string;
  /** What will happen, in a sentence. */
  readonly children: ComponentChildren;
  /** The verb on the button: `Terminate`. */
  readonly verb: string;
  readonly isDangerous?: boolean;
  /** Asks for a reason, which is kept in the history. */
  readonly asksReason?: boolean;
  readonly act: (reason: string) => Promise<Result<unknown>>;
  readonly onDone?: () => void;
  readonly onClose: () => void;
}

/** Asks before something is done, does it, and shows why it could not be done. */
export function Confirmation(props: ConfirmationProps): JSX.Element {
  const reason = useSignal("");
  const isBusy = useSignal(false);
  const error = useSignal<ApiError | null>(null);
  const reasonId = useId();
  const submit = async (event: Event) => {
    event.preventDefault();
    if (isBusy.value) return;
    isBusy.value = true;
    const answer = await props.act(reason.value.trim());
    isBusy.value = false;
    error.value = answer.ok ? null : answer.error;
    if (!answer.ok) return;
    props.onDone?.();
    props.onClose();
  };
  return (
    <Dialog title={props.title} onClose={props.onClose}>
      <form onSubmit={submit} class="stack">
        <div class="prose">{props.children}</div>
        {props.asksReason && (
          <div class="field">
            <label for={reasonId}>Reason (kept in its history, may be empty)</label>
            <input
              id={reasonId}
              value={reason.value}
              onInput={(event) => (reason.value = event.currentTarget.value)}
              autocomplete="off"
            />
          </div>
        )}
        {error.value && <ErrorNote error={error.value} />}
        <div class="dialog-actions">
          <Button onClick={props.onClose}>Cancel</Button>
          <Button type="submit" kind={props.isDangerous ? "danger" : "primary"} isBusy={isBusy.value}>
            {props.verb}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
