/** The three ways out of a hold, each asked before it is taken. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import type { Result } from "../api/client";
import { controlInstance, ifAsSeen, restartInstance } from "../api/instances";
import type { InstanceRecord } from "../api/types";
import { Confirmation } from "../parts/dialog";

export type WayOut = "resume" | "restart" | "fail";

export interface HeldDialogProps {
  readonly way: WayOut;
  readonly record: InstanceRecord;
  readonly onDone: () => void;
  readonly onClose: () => void;
}

export function HeldDialog({ way, record, onDone, onClose }: HeldDialogProps): JSX.Element {
  const isSameId = useSignal(true);
  const id = record.instanceId;
  const common = { onDone, onClose };
  if (way === "resume") {
    return (
      <Confirmation
        {...common}
        title="Try it again?"
        verb="Try again"
        act={(reason) => ifAsSeen(record, () => controlInstance(id, "resume", { reason }))}
      >
        <p>
          <code>{id}</code> is tried with the code that is loaded now. If it still does not fit, it is held again, and
          nothing else happens.
        </p>
      </Confirmation>
    );
  }
  if (way === "fail") {
    return (
      <Confirmation
        {...common}
        title="End it as failed?"
        verb="Fail"
        isDangerous
        asksReason
        act={(reason) => ifAsSeen(record, () => controlInstance(id, "fail", { reason }))}
      >
        <p>
          <code>{id}</code> ends as Failed, as if its own code had raised; whoever called it gets the error.
        </p>
      </Confirmation>
    );
  }
  const act = (): Promise<Result<unknown>> => ifAsSeen(record, () => restartInstance(id, !isSameId.value));
  return (
    <Confirmation {...common} title="Restart it?" verb="Restart" isDangerous act={act}>
      <p>
        It runs again from its first line, with the same input. What it has done already is not undone, and may be done
        once more.
      </p>
      <label class="check">
        <input type="radio" name="id" checked={isSameId.value} onChange={() => (isSameId.value = true)} />
        Under its own id: the held one ends
      </label>
      <label class="check">
        <input type="radio" name="id" checked={!isSameId.value} onChange={() => (isSameId.value = false)} />
        Under a new id: the held one stays
      </label>
    </Confirmation>
  );
}
