/** One action: a button that says why it cannot be pressed, and opens the dialog that asks before anything is done. */

import type { JSX } from "preact";
import { refusal } from "../../api/session";
import { Button } from "../../parts/button";
import type { Instance } from "../shapes";
import { useActing } from "./acting";
import { ACTIONS, type ActionKind } from "./kinds";

export interface ActionButtonProps {
  readonly kind: ActionKind;
  readonly row: Instance;
  readonly label?: string;
  readonly isPrimary?: boolean;
}

export function ActionButton({ kind, row, label, isPrimary }: ActionButtonProps): JSX.Element {
  const { opened } = useActing();
  const action = ACTIONS[kind];
  const name = label ?? action.label;
  return (
    <Button
      kind={isPrimary ? "primary" : "plain"}
      refusal={action.unfit(row) ?? refusal(action.role)}
      onClick={() => (opened.value = { kind, row })}
    >
      {`${name}…`}
    </Button>
  );
}
