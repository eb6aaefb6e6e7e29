/** One action: a button that says why it cannot be pressed, and the dialog that asks before anything is done. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { refusal } from "../../api/session";
import { Button } from "../../parts/button";
import type { Live } from "../live";
import type { Instance } from "../shapes";
import { ActionDialog } from "./dialogs";
import { ACTIONS, type ActionKind } from "./kinds";

export interface ActionButtonProps {
  readonly kind: ActionKind;
  readonly live: Live;
  readonly row: Instance;
  readonly label?: string;
  readonly isPrimary?: boolean;
  readonly onDone?: ((text: string) => void) | undefined;
  /** Called when the dialog opens: to close the menu that it came from. */
  readonly onOpen?: () => void;
}

export function ActionButton({ kind, live, row, label, isPrimary, onDone, onOpen }: ActionButtonProps): JSX.Element {
  const isOpen = useSignal(false);
  const action = ACTIONS[kind];
  const name = label ?? action.label;
  return (
    <>
      <Button
        kind={isPrimary ? "primary" : "plain"}
        refusal={action.unfit(row) ?? refusal(action.role)}
        onClick={() => {
          isOpen.value = true;
          onOpen?.();
        }}
      >
        {`${name}…`}
      </Button>
      {isOpen.value && (
        <ActionDialog
          kind={kind}
          row={row}
          onClose={() => (isOpen.value = false)}
          onDone={(text) => {
            if (kind === "purge") live.isPurged.value = true;
            else live.refresh();
            onDone?.(text);
          }}
        />
      )}
    </>
  );
}
