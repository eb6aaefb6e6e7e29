/** What can be done to the rows that are chosen, and the dialog that does it. */

import { useSignal, type Signal } from "@preact/signals";
import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import type { Result } from "../../api/client";
import { controlInstance, purgeInstance } from "../../api/instances";
import { refusal } from "../../api/session";
import type { Role } from "../../api/types";
import { counted } from "../../formatting";
import { Button } from "../../parts/button";
import { Dialog } from "../../parts/dialog";
import { toAll, type Progress } from "./bulk";
import type { InstanceList } from "./list";

interface Action {
  readonly verb: string;
  readonly role: Role;
  readonly isDangerous: boolean;
  /** What happens, after "3 instances": a sentence. */
  readonly means: string;
  readonly act: (id: string) => Promise<Result<unknown>>;
}

const REASON = { reason: "from the dashboard, several at once" };

const ACTIONS: readonly Action[] = [
  {
    verb: "Suspend",
    role: "operate",
    isDangerous: false,
    means: "pause after what they do now; what arrives is kept.",
    act: (id) => controlInstance(id, "suspend", REASON),
  },
  {
    verb: "Resume",
    role: "operate",
    isDangerous: false,
    means: "go on; held ones are tried again.",
    act: (id) => controlInstance(id, "resume", REASON),
  },
  {
    verb: "Terminate",
    role: "operate",
    isDangerous: true,
    means: "end now. Activities that run are not undone.",
    act: (id) => controlInstance(id, "terminate", REASON),
  },
  {
    verb: "Purge",
    role: "admin",
    isDangerous: true,
    means: "are deleted with their histories, for good. Those that have not ended are refused.",
    act: (id) => purgeInstance(id),
  },
];

export interface BulkBarProps {
  readonly list: InstanceList;
  readonly chosen: Signal<ReadonlySet<string>>;
}

export function BulkBar({ list, chosen }: BulkBarProps): JSX.Element | null {
  const action = useSignal<Action | null>(null);
  const count = chosen.value.size;
  if (count === 0 && action.value === null) return null;
  return (
    <section class="bulk-bar" aria-label="Actions on the chosen instances">
      <strong aria-live="polite">{counted(count, "instance")} chosen</strong>
      <div class="row">
        {ACTIONS.map((one) => (
          <Button
            key={one.verb}
            size="small"
            kind={one.isDangerous ? "danger" : "plain"}
            refusal={refusal(one.role)}
            onClick={() => (action.value = one)}
          >
            {one.verb}
          </Button>
        ))}
        <Button size="small" kind="quiet" onClick={() => (chosen.value = new Set())}>
          Choose none
        </Button>
      </div>
      {action.value && (
        <BulkDialog
          action={action.value}
          ids={[...chosen.value]}
          onClose={(left) => {
            action.value = null;
            if (left === null) return;
            chosen.value = new Set(left);
            if (left.length === 0) void list.readAnew();
          }}
        />
      )}
    </section>
  );
}

interface BulkDialogProps {
  readonly action: Action;
  readonly ids: readonly string[];
  /** With those that it could not be done to; null when nothing was done. */
  readonly onClose: (left: readonly string[] | null) => void;
}

function BulkDialog({ action, ids, onClose }: BulkDialogProps): JSX.Element {
  const progress = useSignal<Progress | null>(null);
  const isOver = useSignal(false);
  const isStopped = useRef(false);
  const begin = async (event: Event) => {
    event.preventDefault();
    progress.value = { done: 0, total: ids.length, failures: [] };
    const end = await toAll(
      ids,
      action.act,
      (now) => (progress.value = now),
      () => isStopped.current,
    );
    isOver.value = true;
    if (end.failures.length === 0 && !isStopped.current) onClose([]);
  };
  const close = () => {
    isStopped.current = true;
    onClose(progress.value === null ? null : progress.value.failures.map((one) => one.id));
  };
  return (
    <Dialog title={`${action.verb} ${counted(ids.length, "instance")}?`} onClose={close}>
      <form class="stack" onSubmit={begin}>
        <p>
          {counted(ids.length, "instance")} {action.means}
        </p>
        {progress.value && <BulkProgress progress={progress.value} />}
        <div class="dialog-actions">
          <Button onClick={close}>{progress.value === null ? "Cancel" : isOver.value ? "Close" : "Stop"}</Button>
          {progress.value === null && (
            <Button type="submit" kind={action.isDangerous ? "danger" : "primary"}>
              {action.verb}
            </Button>
          )}
        </div>
      </form>
    </Dialog>
  );
}

const SHOWN_FAILURES = 20;

function BulkProgress({ progress }: { readonly progress: Progress }): JSX.Element {
  const { done, total, failures } = progress;
  return (
    <div class="stack tight">
      <div
        class="bar"
        role="progressbar"
        aria-label="Progress"
        aria-valuemin={0}
        aria-valuemax={total}
        aria-valuenow={done}
      >
        <span style={{ width: `${(100 * done) / Math.max(total, 1)}%` }} />
      </div>
      <p class="quiet-text">
        {done} of {total} done{failures.length > 0 ? `, ${failures.length} refused` : ""}
      </p>
      {failures.length > 0 && (
        <ul class="bulk-failures">
          {failures.slice(0, SHOWN_FAILURES).map(({ id, error }) => (
            <li key={id}>
              <span class="mono">{id}</span>: {error.message}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
