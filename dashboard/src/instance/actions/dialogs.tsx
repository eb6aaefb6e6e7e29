/** What is asked before an action, and the action itself. */

import { useSignal, type Signal } from "@preact/signals";
import type { JSX } from "preact";
import { useId } from "preact/hooks";
import { controlInstance, ifAsSeen, purgeInstance, restartInstance, type Control } from "../../api/instances";
import { Confirmation } from "../../parts/dialog";
import { go, instanceAddress } from "../../router";
import { isFinished, statusOf } from "../../statuses";
import type { Instance } from "../shapes";
import type { ActionKind } from "./kinds";
import { SendDialog } from "./send";

export interface ActionDialogProps {
  readonly kind: ActionKind;
  readonly row: Instance;
  /** Says what was done. */
  readonly onDone: (text: string) => void;
  readonly onClose: () => void;
}

export function ActionDialog(props: ActionDialogProps): JSX.Element {
  switch (props.kind) {
    case "answer":
    case "raise-event":
      return <SendDialog {...props} wanted={props.kind === "answer" ? "question" : "event"} />;
    case "restart":
      return <RestartDialog {...props} />;
    case "purge":
      return <PurgeDialog {...props} />;
    default:
      return <ControlDialog {...props} control={props.kind} />;
  }
}

const CONTROLS: Readonly<Record<Control, { readonly verb: string; readonly text: string; readonly done: string }>> = {
  suspend: {
    verb: "Suspend",
    text: "It pauses. What is sent to it is kept until it is resumed; activities that run go on.",
    done: "Suspended.",
  },
  resume: { verb: "Resume", text: "It goes on; a held one is tried again.", done: "Resumed." },
  terminate: {
    verb: "Terminate",
    text: "It ends now. Its code runs no further, not even what would clean up.",
    done: "Terminated.",
  },
  fail: { verb: "Fail", text: "It ends as failed. Who waits for its result gets an error.", done: "Ended as failed." },
};

function ControlDialog({
  control,
  row,
  onDone,
  onClose,
}: ActionDialogProps & { readonly control: Control }): JSX.Element {
  const isRecursive = useSignal(false);
  const { verb, text, done } = CONTROLS[control];
  return (
    <Confirmation
      title={`${verb} ${row.name}?`}
      verb={verb}
      isDangerous={control === "terminate" || control === "fail"}
      asksReason
      act={(reason) =>
        ifAsSeen(row, () =>
          controlInstance(row.instanceId, control, {
            ...(reason && { reason }),
            ...(isRecursive.value && { recurse: true }),
          }),
        )
      }
      onDone={() => onDone(done)}
      onClose={onClose}
    >
      <Whose row={row} />
      <p>{text}</p>
      {control === "terminate" && (
        <Check label="Also end what it has called, and what that has called" value={isRecursive} />
      )}
    </Confirmation>
  );
}

function RestartDialog({ row, onDone, onClose }: ActionDialogProps): JSX.Element {
  const canKeepId = isFinished(statusOf(row)) || row.hold != null;
  const way = useSignal<"new" | "same">(row.hold ? "same" : "new");
  const group = useId();
  return (
    <Confirmation
      title={`Run ${row.name} again?`}
      verb="Restart"
      isDangerous={way.value === "same"}
      act={async () => {
        const answer = await ifAsSeen(row, () => restartInstance(row.instanceId, way.value === "new"));
        if (answer.ok && answer.value.id !== row.instanceId) go(instanceAddress(answer.value.id));
        return answer;
      }}
      onDone={() => onDone("Restarted.")}
      onClose={onClose}
    >
      <Whose row={row} />
      <p>It begins anew, with the same input.</p>
      <label class="check">
        <input type="radio" name={group} checked={way.value === "new"} onChange={() => (way.value = "new")} />
        Under a new id; this one stays as it is
      </label>
      <label class="check">
        <input
          type="radio"
          name={group}
          checked={way.value === "same"}
          disabled={!canKeepId}
          onChange={() => (way.value = "same")}
        />
        {`Under its own id; what it has done so far is replaced${canKeepId ? "" : " (once it has ended or is held)"}`}
      </label>
    </Confirmation>
  );
}

function PurgeDialog({ row, onDone, onClose }: ActionDialogProps): JSX.Element {
  const mustForce = !isFinished(statusOf(row));
  return (
    <Confirmation
      title={`Purge ${row.name}?`}
      verb={mustForce ? "Terminate and purge" : "Purge"}
      isDangerous
      act={() => ifAsSeen(row, () => purgeInstance(row.instanceId, mustForce))}
      onDone={() => onDone("Purged.")}
      onClose={onClose}
    >
      <Whose row={row} />
      <p>It is deleted with its history. This cannot be undone.</p>
      {mustForce && <p>It has not ended: it is terminated first.</p>}
    </Confirmation>
  );
}

function Whose({ row }: { readonly row: Instance }): JSX.Element {
  return <code class="broken-anywhere">{row.instanceId}</code>;
}

function Check({ label, value }: { readonly label: string; readonly value: Signal<boolean> }): JSX.Element {
  return (
    <label class="check">
      <input type="checkbox" checked={value.value} onChange={(event) => (value.value = event.currentTarget.checked)} />
      {label}
    </label>
  );
}
