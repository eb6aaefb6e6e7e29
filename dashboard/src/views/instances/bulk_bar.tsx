/** What can be done to the rows that are chosen, and the dialog that does it. */

import { useSignal, type Signal } from "@preact/signals";
import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import type { Result } from "../../api/client";
import { controlInstance, ifAsSeen, purgeInstance, restartInstance } from "../../api/instances";
import { refusal } from "../../api/session";
import { isFinished } from "../../statuses";
import type { Role } from "../../api/types";
import { counted, countText } from "../../formatting";
import { Button } from "../../parts/button";
import { Dialog } from "../../parts/dialog";
import { toAll, type Progress } from "./bulk";
import type { InstanceList } from "./list";
import type { Row } from "./rows";

interface Action {
  readonly verb: string;
  readonly role: Role;
  readonly isDangerous: boolean;
  /** What happens, after "3 instances": a sentence. */
  readonly means: string;
  /** Whether it makes sense for such a one. */
  readonly fits: (row: Row) => boolean;
  readonly act: (id: string) => Promise<Result<unknown>>;
}

const isGoing = (row: Row): boolean => !row.isPurged && !isFinished(row.status);
const isOver = (row: Row): boolean => !row.isPurged && isFinished(row.status);

const REASON = { reason: "from the dashboard, several at once" };

const ACTIONS: readonly Action[] = [
  {
    verb: "Suspend",
    role: "operate",
    isDangerous: false,
    means: "pause after what they do now; what arrives is kept.",
    fits: (row) => isGoing(row) && row.status !== "Suspended",
    act: (id) => controlInstance(id, "suspend", REASON),
  },
  {
    verb: "Resume",
    role: "operate",
    isDangerous: false,
    means: "go on; held ones are tried again.",
    fits: (row) => isGoing(row) && (row.status === "Suspended" || row.holdReason !== null),
    act: (id) => controlInstance(id, "resume", REASON),
  },
  {
    verb: "Terminate",
    role: "operate",
    isDangerous: true,
    means: "end now. Activities that run are not undone.",
    fits: isGoing,
    act: (id) => controlInstance(id, "terminate", REASON),
  },
  {
    verb: "Restart",
    role: "operate",
    isDangerous: false,
    means: "are run again with their inputs, each under a new id; they stay as they are.",
    fits: (row) => !row.isPurged && (row.status === "Failed" || row.status === "Terminated"),
    act: (id) => restartInstance(id, true),
  },
  {
    verb: "Purge",
    role: "admin",
    isDangerous: true,
    means: "are deleted with their histories, for good.",
    fits: isOver,
    act: (id) => purgeInstance(id),
  },
];

/** An action, and those that it fits as they were when it was asked for. */
interface Asked {
  readonly action: Action;
  readonly ids: readonly string[];
  /** When they were created, as they stood when they were chosen: the next one under an id is another. */
  readonly createdAt: ReadonlyMap<string, number>;
  readonly others: readonly string[];
}

export interface BulkBarProps {
  readonly list: InstanceList;
  readonly chosen: Signal<ReadonlySet<string>>;
}

export function BulkBar({ list, chosen }: BulkBarProps): JSX.Element | null {
  const asked = useSignal<Asked | null>(null);
  const createdAt = useRef(new Map<string, number>()).current;
  const ids = [...chosen.value];
  const count = ids.length;
  list.version.value;
  for (const id of createdAt.keys()) if (!chosen.value.has(id)) createdAt.delete(id);
  for (const id of ids) {
    const row = list.rows.get(id);
    if (row !== undefined && !createdAt.has(id)) createdAt.set(id, row.createdAt);
  }
  if (count === 0 && asked.value === null) return null;
  // What is not listed any more is left to the host to judge.
  const fits = (one: Action, id: string) => {
    const row = list.rows.get(id);
    return row === undefined || one.fits(row);
  };
  const ask = (action: Action) => {
    const fitting = ids.filter((id) => fits(action, id));
    const others = ids.filter((id) => !fitting.includes(id));
    asked.value = { action, ids: fitting, createdAt: new Map(createdAt), others };
  };
  const isAllLoaded = count > 1 && count >= list.rows.all.length && !list.isComplete.value;
  return (
    <section class="bulk-bar" aria-label="Actions on the chosen instances">
      <p aria-live="polite">
        <strong>{counted(count, "instance")} chosen</strong>
        {isAllLoaded && <span class="quiet-text"> All that are loaded so far: there are more.</span>}
      </p>
      <div class="row">
        {ACTIONS.filter((one) => ids.some((id) => fits(one, id))).map((one) => (
          <Button
            key={one.verb}
            size="small"
            kind={one.isDangerous ? "danger" : "plain"}
            refusal={refusal(one.role)}
            onClick={() => ask(one)}
          >
            {one.verb}
          </Button>
        ))}
        <Button size="small" kind="quiet" onClick={() => (chosen.value = new Set())}>
          Choose none
        </Button>
      </div>
      {asked.value && (
        <BulkDialog
          asked={asked.value}
          onClose={(left) => {
            if (left !== null) chosen.value = new Set([...left, ...(asked.value?.others ?? [])]);
            asked.value = null;
          }}
        />
      )}
    </section>
  );
}

interface BulkDialogProps {
  readonly asked: Asked;
  /** With those that it could not be done to; null when nothing was done. */
  readonly onClose: (left: readonly string[] | null) => void;
}

function BulkDialog({ asked, onClose }: BulkDialogProps): JSX.Element {
  const { action, ids, createdAt, others } = asked;
  const progress = useSignal<Progress | null>(null);
  const isOver = useSignal(false);
  const isStopped = useRef(false);
  const begin = async (event: Event) => {
    event.preventDefault();
    progress.value = { done: 0, total: ids.length, failures: [] };
    const end = await toAll(
      ids,
      (id) => ifAsSeen({ instanceId: id, createdAt: createdAt.get(id) ?? 0 }, () => action.act(id)),
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
        {others.length > 0 && (
          <p class="quiet-text">
            {counted(others.length, "other one", "other ones")} of those chosen are in a state in which this makes no
            sense: left alone, and still chosen.
          </p>
        )}
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
        {countText(done)} of {countText(total)} done
        {failures.length > 0 ? `, ${countText(failures.length)} refused` : ""}
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
