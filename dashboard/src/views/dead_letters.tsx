/** Events that nobody could take: for which instance they were, why, and what they say. */

import type { JSX } from "preact";
import { get } from "../api/client";
import type { DeadLetter } from "../api/types";
import { Button } from "../parts/button";
import { EmptyState } from "../parts/empty_state";
import { ReadError } from "../parts/read_error";
import { Payload } from "../parts/payload";
import { StatusBadge } from "../parts/status_badge";
import { Time } from "../parts/time";
import { ViewHead } from "../parts/view_head";
import { instanceAddress } from "../router";
import { MoreButton } from "./more_button";
import { usePaged } from "./paged";

const PAGE = 50;

export function DeadLettersView(): JSX.Element {
  const letters = usePaged<DeadLetter>("dead letters", async (after) => {
    const answer = await get<readonly DeadLetter[]>("/admin/dead-letters", { limit: PAGE, after });
    return answer.ok ? { ...answer, value: { rows: answer.value, after: answer.next } } : answer;
  });
  return (
    <>
      <ViewHead
        title="Dead letters"
        about="Messages that came for an instance which was not there, or had ended. They are kept for the record; nobody takes them any more."
      >
        <Button onClick={letters.reload}>Read anew</Button>
      </ViewHead>
      <ReadError of={letters} />
      {letters.rows.value?.length === 0 && (
        <div class="card">
          <EmptyState title="No dead letters">Everything that was sent found its instance.</EmptyState>
        </div>
      )}
      {(letters.rows.value?.length ?? 0) > 0 && (
        <ul class="card items">
          {letters.rows.value?.map((letter) => (
            <li key={letter.messageId}>
              <LetterItem letter={letter} />
            </li>
          ))}
        </ul>
      )}
      <MoreButton list={letters} />
    </>
  );
}

function LetterItem({ letter }: { readonly letter: DeadLetter }): JSX.Element {
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
      </div>
    </details>
  );
}
