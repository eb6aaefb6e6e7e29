/** What stands in the way of a start: an instance has the id already. If it has ended, the start may replace it. */

import type { JSX } from "preact";
import type { Instance } from "../../api/types";
import { Button } from "../../parts/button";
import { StatusBadge } from "../../parts/status_badge";
import { Time } from "../../parts/time";
import { instanceAddress } from "../../router";
import { isFinished, standingOf, statusOf } from "../../statuses";

export interface ConflictProps {
  /** The one that has the id. */
  readonly other: Instance;
  readonly isBusy: boolean;
  readonly onReplace: () => void;
}

export function Conflict({ other, isBusy, onReplace }: ConflictProps): JSX.Element {
  const isOver = isFinished(statusOf(other));
  return (
    <div class="note warning stack tight" role="alert">
      <p>
        There is an instance with this id already:{" "}
        <a class="mono broken-anywhere" href={instanceAddress(other.instanceId)}>
          {other.instanceId}
        </a>{" "}
        ({other.name}) <StatusBadge status={standingOf(other)} />{" "}
        {isOver && other.completedAt ? <Time at={other.completedAt} /> : null}
      </p>
      {isOver ? (
        <>
          <p>
            Enter another id, or start anew under this one: then the old one goes for good, with its input, its result,
            its history and its log.
          </p>
          <div class="row">
            <Button kind="danger" size="small" isBusy={isBusy} onClick={onReplace}>
              Start anew under this id
            </Button>
          </div>
        </>
      ) : (
        <p>It has not ended, so it is left alone. Enter another id, or leave it out.</p>
      )}
    </div>
  );
}
