/** Events that nobody could take: for which instance they were, why, what they say, and whether somebody has seen to them. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { get, post } from "../api/client";
import { refusal } from "../api/session";
import type { DeadLetter } from "../api/types";
import { counted, countText } from "../formatting";
import { Button } from "../parts/button";
import { Confirmation } from "../parts/dialog";
import { EmptyState } from "../parts/empty_state";
import { ReadError } from "../parts/read_error";
import { Payload } from "../parts/payload";
import { StatusBadge } from "../parts/status_badge";
import { Time } from "../parts/time";
import { ViewHead } from "../parts/view_head";
import { instanceAddress } from "../router";
import { MoreButton } from "./more_button";
import { stillThere, usePaged } from "./paged";

const PAGE = 50;

export function DeadLettersView(): JSX.Element {
  const letters = usePaged<DeadLetter>("dead letters", async (after) => {
    const answer = await get<readonly DeadLetter[]>("/admin/dead-letters", { limit: PAGE, after });
    return answer.ok ? { ...answer, value: { rows: answer.value, after: answer.next } } : answer;
  });
  const asked = useSignal<readonly string[]>([]);
  const rows = letters.rows.value ?? [];
  return (
    <>
      <ViewHead
        title="Dead letters"
        about="Messages that came for an instance which was not there, or had ended. They are kept for the record; nobody takes them any more."
      >
        <Button onClick={letters.reload}>Read anew</Button>
      </ViewHead>
      <ReadError of={letters} isEmpty={letters.rows.value === null} />
      {letters.rows.value !== null && rows.length === 0 && (
        <div class="card">
          <EmptyState title="No dead letters" isSure={letters.isFresh.value}>
            Everything that was sent found its instance.
          </EmptyState>
        </div>
      )}
      {rows.length > 0 && <Letters rows={rows} onAsk={(ids) => (asked.value = ids)} />}
      <MoreButton list={letters} />
      {asked.value.length > 0 && (
        <Acknowledgement ids={asked.value} onDone={letters.reload} onClose={() => (asked.value = [])} />
      )}
    </>
  );
}

interface LettersProps {
  readonly rows: readonly DeadLetter[];
  /** Somebody wants to say that these were seen to. */
  readonly onAsk: (ids: readonly string[]) => void;
}

function Letters({ rows, onAsk }: LettersProps): JSX.Element {
  const chosen = useSignal<ReadonlySet<string>>(new Set());
  useEffect(() => {
    chosen.value = stillThere(
      chosen.value,
      rows.filter((row) => !row.acknowledgedAt).map((row) => row.messageId),
    );
  }, [rows]);
  const open = rows.filter((row) => !row.acknowledgedAt).map((row) => row.messageId);
  const isAll = open.length > 0 && chosen.value.size === open.length;
  const toggle = (id: string) => {
    const next = new Set(chosen.value);
    if (!next.delete(id)) next.add(id);
    chosen.value = next;
  };
  return (
    <section class="card" aria-label="Dead letters">
      <header class="card-head">
        <label class="check">
          <input
            type="checkbox"
            checked={isAll}
            disabled={open.length === 0}
            indeterminate={!isAll && chosen.value.size > 0}
            onChange={() => (chosen.value = isAll ? new Set() : new Set(open))}
          />
          {chosen.value.size > 0 ? `${countText(chosen.value.size)} chosen` : "Choose all"}
        </label>
        <Button
          size="small"
          kind="primary"
          refusal={refusal("operate") ?? (chosen.value.size === 0 ? "Choose some first." : null)}
          onClick={() => onAsk([...chosen.value])}
        >
          Seen to
        </Button>
      </header>
      <ul class="items">
        {rows.map((letter) => (
          <li key={letter.messageId} class="row-with-choice">
            <label class="choose">
              <input
                type="checkbox"
                aria-label={`Choose ${letter.messageId}`}
                disabled={!!letter.acknowledgedAt}
                checked={chosen.value.has(letter.messageId)}
                onChange={() => toggle(letter.messageId)}
              />
            </label>
            <LetterItem letter={letter} onAsk={onAsk} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function LetterItem({ letter, onAsk }: { readonly letter: DeadLetter } & Pick<LettersProps, "onAsk">): JSX.Element {
  return (
    <details class="item">
      <summary>
        <span class="item-main">
          <strong class="broken-anywhere">{letter.reason}</strong>
          <span class="quiet-text broken-anywhere">
            for <span class="mono">{letter.instanceId}</span>
          </span>
        </span>
        {letter.acknowledgedAt ? <StatusBadge status="completed">Seen to</StatusBadge> : null}
        <span class="quiet-text small-text">
          <Time at={letter.createdAt} />
        </span>
      </summary>
      <div class="item-body">
        <p>
          <a href={instanceAddress(letter.instanceId)}>Its instance</a>
          <span class="quiet-text"> · message {letter.messageId}</span>
        </p>
        <Payload value={letter.message} label="The message" />
        {letter.acknowledgedAt ? (
          <p class="quiet-text small-text">
            Seen to <Time at={letter.acknowledgedAt} />
          </p>
        ) : (
          <div class="row">
            <Button size="small" refusal={refusal("operate")} onClick={() => onAsk([letter.messageId])}>
              Say that it was seen to
            </Button>
          </div>
        )}
      </div>
    </details>
  );
}

interface AcknowledgementProps {
  readonly ids: readonly string[];
  readonly onDone: () => void;
  readonly onClose: () => void;
}

function Acknowledgement({ ids, onDone, onClose }: AcknowledgementProps): JSX.Element {
  const act = async () => {
    const answer = await post("/admin/dead-letters/acknowledge", { ids });
    if (answer.ok) onDone();
    return answer;
  };
  return (
    <Confirmation
      title={`Were ${counted(ids.length, "dead letter")} seen to?`}
      verb="Seen to"
      act={act}
      onClose={onClose}
    >
      <p>
        They stay in this list; <code>tenuto doctor</code> finds nothing wrong with them any more.
      </p>
    </Confirmation>
  );
}
