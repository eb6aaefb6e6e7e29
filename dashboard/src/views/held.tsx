/** Instances that cannot go on: why, what is stored and what the code says to it, and the ways out. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import { controlInstance, ifAsSeen, listInstances } from "../api/instances";
import { refusal } from "../api/session";
import type { Hold, InstanceRecord } from "../api/types";
import { counted, countText, sentence } from "../formatting";
import { byCause, HOLD_REASONS, holdText, type Cause } from "../holds";
import { Button } from "../parts/button";
import { EmptyState } from "../parts/empty_state";
import { ReadError } from "../parts/read_error";
import { StatusBadge } from "../parts/status_badge";
import { Time } from "../parts/time";
import { ViewHead } from "../parts/view_head";
import { instanceAddress } from "../router";
import { HeldDialog, type WayOut } from "./held_dialog";

import { toAll } from "./instances/bulk";
import { MoreButton } from "./more_button";
import { usePaged } from "./paged";

const PAGE = 50;
const OFTEN = 5_000;
/** Of one cause, before all are asked for. */
const SHOWN = 5;

interface Asked {
  readonly way: WayOut;
  readonly record: InstanceRecord;
}

export function HeldView(): JSX.Element {
  const shown = useRef<ReadonlySet<string>>(new Set());
  const held = usePaged<InstanceRecord>(
    "held",
    async (after) => {
      const answer = await listInstances({ held: true, after, limit: PAGE, payloads: false });
      return answer.ok ? { ...answer, value: { rows: answer.value.records, after: answer.value.after } } : answer;
    },
    {
      every: OFTEN,
      isTouchedBy: (updates) => updates.some((one) => one.hold || shown.current.has(one.instanceId)),
      isChangedBy: (digest) => digest.held > 0 || digest.elsewhere,
    },
  );
  const asked = useSignal<Asked | null>(null);
  const rows = held.rows.value ?? [];
  shown.current = new Set(rows.map((record) => record.instanceId));
  return (
    <>
      <ViewHead
        title="Held"
        about="These instances cannot go on now. Nothing of them is lost: what they were sent is kept until they go on, or you end them."
      >
        <Button onClick={held.reload}>Read anew</Button>
        {rows.length > 1 && <TryAll records={rows} onDone={held.reload} />}
      </ViewHead>
      <ReadError of={held} isEmpty={held.rows.value === null} />
      {held.rows.value !== null && rows.length === 0 && (
        <div class="card">
          <EmptyState title="No instance is held" isSure={held.isFresh.value}>
            Every instance goes on with the code that is here.
          </EmptyState>
        </div>
      )}
      {byCause(rows).map((cause) => (
        <CauseSection
          key={`${cause.reason} ${cause.name}`}
          cause={cause}
          onAsk={(way, record) => (asked.value = { way, record })}
        />
      ))}
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

interface CauseSectionProps {
  readonly cause: Cause<InstanceRecord>;
  readonly onAsk: (way: WayOut, record: InstanceRecord) => void;
}

/** What is held for one reason: the reason and what to do once, then each instance. */
function CauseSection({ cause, onAsk }: CauseSectionProps): JSX.Element {
  const isWhole = useSignal(false);
  const { reason, name, records } = cause;
  const shown = isWhole.value ? records : records.slice(0, SHOWN);
  const title = `${name}${records.length > 1 ? ` × ${countText(records.length)}` : ""}: ${holdText(reason)}`;
  return (
    <section class="stack tight" aria-label={title}>
      <h2>{title}</h2>
      <p class="quiet-text">{HOLD_REASONS[reason]?.advice}</p>
      <ul class="stack">
        {shown.map((record) => (
          <li key={record.instanceId}>
            <HeldCard record={record} onAsk={(way) => onAsk(way, record)} />
          </li>
        ))}
      </ul>
      {records.length > SHOWN && (
        <div class="row">
          <Button size="small" expanded={isWhole.value} onClick={() => (isWhole.value = !isWhole.value)}>
            {isWhole.value ? "Show fewer" : `Show all ${countText(records.length)}`}
          </Button>
        </div>
      )}
    </section>
  );
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
  return (
    <article class="card held-card" aria-label={record.instanceId}>
      <header class="card-head">
        <div class="row">
          <StatusBadge status="held" />
          <a class="mono broken-anywhere" href={instanceAddress(record.instanceId)}>
            {record.instanceId}
          </a>
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
        {!hold.recorded && !hold.produced && <p class="broken-anywhere">{sentence(hold.message)}</p>}
        <BothSides hold={hold} />
        {(hold.recorded || hold.produced) && (
          <details class="small-text">
            <summary>What the host says</summary>
            <p class="broken-anywhere">{sentence(hold.message)}</p>
          </details>
        )}
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
        <h3>Recorded: what its history says</h3>
        <pre tabIndex={0}>{hold.recorded || "nothing more"}</pre>
      </section>
      <section>
        <h3>Produced: what the code says now</h3>
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
    const byId = new Map(harmless.map((record) => [record.instanceId, record]));
    await toAll(
      [...byId.keys()],
      (id) => ifAsSeen(byId.get(id) as InstanceRecord, () => controlInstance(id, "resume")),
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
        : `${countText(done.value)} of ${countText(harmless.length)}`}
    </Button>
  );
}

/** Those whose next try may take the host down: never all at once. */
const HARMFUL: ReadonlySet<string> = new Set(["crashed", "memory", "storage"]);
