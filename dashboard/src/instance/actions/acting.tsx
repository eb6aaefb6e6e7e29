/**
 * Which action is being asked about, and what came of the last one: of the page, not of a button.
 *
 * A button goes when the instance gets another state. What somebody is filling in must not go with it, and is about the
 * instance as it was when the dialog opened: what was meant for a held one is refused for one that goes on again.
 */

import { useSignal, type Signal } from "@preact/signals";
import { createContext, type ComponentChildren, type JSX } from "preact";
import { useContext, useMemo } from "preact/hooks";
import { standingOf } from "../../statuses";
import type { Live } from "../live";
import type { Instance } from "../shapes";
import { ActionDialog } from "./dialogs";
import type { ActionKind } from "./kinds";

export interface Opened {
  readonly kind: ActionKind;
  readonly row: Instance;
}

export interface Done {
  readonly text: string;
  readonly statusBefore: string;
}

export interface Acting {
  readonly opened: Signal<Opened | null>;
  readonly done: Signal<Done | null>;
}

const Context = createContext<Acting | null>(null);

/** Of the page that a component stands on. */
export function useActing(): Acting {
  const acting = useContext(Context);
  if (!acting) throw new Error("An action stands outside of the page of an instance.");
  return acting;
}

/** Around a page: has its dialog, whatever becomes of the button that opened it. */
export function ActionHost({
  live,
  children,
}: {
  readonly live: Live;
  readonly children: ComponentChildren;
}): JSX.Element {
  const opened = useSignal<Opened | null>(null);
  const done = useSignal<Done | null>(null);
  const acting = useMemo(() => ({ opened, done }), [opened, done]);
  const open = opened.value;
  return (
    <Context.Provider value={acting}>
      {children}
      {open && (
        <ActionDialog
          kind={open.kind}
          row={open.row}
          onClose={() => (opened.value = null)}
          onDone={(text) => {
            done.value = { text, statusBefore: standingOf(live.instance.value.peek() ?? open.row) };
            if (open.kind === "purge") live.isPurged.value = true;
            else live.refresh();
          }}
        />
      )}
    </Context.Provider>
  );
}
