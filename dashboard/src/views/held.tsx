/** Instances that cannot go on: why, what is stored and what the code says to it, and the ways out. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { listInstances, controlInstance } from "../api/instances";
import { watchHub } from "../api/live";
import { refusal } from "../api/session";
import type { Hold, InstanceRecord } from "../api/types";
import { counted, sentence } from "../formatting";
import { Button } from "../parts/button";
import { EmptyState } from "../parts/empty_state";
import { ReadError } from "../parts/read_error";
import { StatusBadge } from "../parts/status_badge";
import { Time } from "../parts/time";
import { ViewHead } from "../parts/view_head";
import { instanceAddress } from "../router";
import { HeldDialog, type WayOut } from "./held_dialog";
import { HOLD_REASONS } from "./holds";
import { toAll } from "./instances/bulk";
import { MoreButton } from "./more_button";
import { usePaged } from "./paged";

const PAGE = 50;

interface Asked {
  readonly way: WayOut;
  readonly record: InstanceRecord;
}

export function HeldView(): JSX.Element {
  const held = usePaged<InstanceRecord>("held", async (after) => {
    const answer = await listInstances({ held: true, after, limit: PAGE, payloads: false });
    return answer.ok ? { ...answer, value: { rows: answer.value.records, after: answer.value.after } } : answer;
  });
  const asked = useSignal<Asked | null>(null);
  const gone = useResolved(held.reload);
  const rows = (held.rows.value ?? []).filter((record) => !gone.value.has(record.instanceId));
  return (
    <>
      <ViewHead
        title="Held"
        about="These instances cannot go on now. Nothing of them is lost: what they were sent is kept until they go on, or you end them."
      >
        <Button onClick={held.reload}>Read anew</Button>
        {rows.length > 1 && <TryAll records={rows} onDone={held.reload} />}
      </ViewHead>
      <ReadError of={held} />
      {held.rows.value !== null && rows.length === 0 && (
        <div class="card">
          <EmptyState title="No instance is held">Every instance goes on with the code that is here.</EmptyState>
        </div>
      )}
      <ul class="stack">
        {rows.map((record) => (
          <li key={record.instanceId}>
            <HeldCard record={record} onAsk={(way) => (asked.value = { way, record })} />
          </li>
        ))}
      </ul>
      <MoreButton list={held} />
      {asked.value && (
        <HeldDialog
          way={asked.value.way}
          record={asked.value.record}
          onDone={held.reload}
          onClose={() => (asked.value = null)}
        />
      )}
    </>
  );
}

/** Ids of those that are not held any more, as live updates tell; `reload` when some were missed. */
function useResolved(reload: () => void) {
  const gone = useSignal<ReadonlySet<string>>(new Set());
  useEffect(
    () =>
      watchHub({
        onUpdates: (updates) => {
          const next = new Set(gone.value);
          for (const one of updates) {
            if (one.hold && !one.purged) next.delete(one.instanceId);
            else next.add(one.instanceId);
          }
          gone.value = next;
        },
        onReset: () => {
          gone.value = new Set();
          reload();
        },
      }),
    [],
  );
  return gone;
}

function HeldCard({
  record,
  onAsk,
}: {
  readonly record: InstanceRecord;
  readonly onAsk: (way: WayOut) => void;
}): JSX.Element | null {
  const hold = record.hold;
  if (!hold) return null;
  const words = HOLD_REASONS[hold.reason];
  return (
    <article class="card held-card" aria-label={record.instanceId}>
      <header class="card-head">
        <div class="row">
          <StatusBadge status="held" />
          <a class="mono broken-anywhere" href={instanceAddress(record.instanceId)}>
            {record.instanceId}
          </a>
          <span class="quiet-text">{record.name}</span>
        </div>
        <span class="quiet-text small-text">
          since <Time at={hold.since} />
          {hold.tried ? (
            <>
              , tried again <Time at={hold.tried} />
            </>
          ) : null}
        </span>
      </header>
      <div class="card-body stack">
        <div class="prose">
          <p>
            <strong>Why: {words?.short ?? hold.reason}.</strong> {sentence(hold.message)}
          </p>
          {words && <p class="quiet-text">{words.advice}</p>}
        </div>
        <BothSides hold={hold} />
        <div class="row">
          <Button kind="primary" refusal={refusal("operate")} onClick={() => onAsk("resume")}>
            Try again
          </Button>
          <Button refusal={refusal("operate")} onClick={() => onAsk("restart")}>
            Restart
          </Button>
          <Button kind="danger" refusal={refusal("operate")} onClick={() => onAsk("fail")}>
            Fail
          </Button>
        </div>
      </div>
    </article>
  );
}

/** What is stored beside what the code says, where they differ. */
function BothSides({ hold }: { readonly hold: Hold }): JSX.Element | null {
  if (!hold.recorded && !hold.produced) return null;
  return (
    <div class="both-sides">
      <section>
        <h3>Its history says</h3>
        <pre tabIndex={0}>{hold.recorded || "nothing more"}</pre>
      </section>
      <section>
        <h3>The code says</h3>
        <pre tabIndex={0}>{hold.produced || "nothing more"}</pre>
      </section>
    </div>
  );
}

function TryAll({
  records,
  onDone,
}: {
  readonly records: readonly InstanceRecord[];
  readonly onDone: () => void;
}): JSX.Element {
  const done = useSignal<number | null>(null);
  const harmless = records.filter((record) => !HARMFUL.has(record.hold?.reason ?? ""));
  const tryAll = async () => {
    done.value = 0;
    const ids = harmless.map((record) => record.instanceId);
    await toAll(
      ids,
      (id) => controlInstance(id, "resume"),
      (progress) => (done.value = progress.done),
    );
    done.value = null;
    onDone();
  };
  const nothing =
    harmless.length === 0 ? "These may harm the host when they are tried again: try them one by one." : null;
  return (
    <Button
      kind="primary"
      isBusy={done.value !== null}
      refusal={refusal("operate") ?? nothing}
      onClick={() => void tryAll()}
    >
      {done.value === null
        ? `Try ${counted(harmless.length, "instance")} again`
        : `${done.value} of ${harmless.length}`}
    </Button>
  );
}

/** Those whose next try may take the host down: never all at once. */
const HARMFUL: ReadonlySet<string> = new Set(["crashed", "memory", "storage"]);
