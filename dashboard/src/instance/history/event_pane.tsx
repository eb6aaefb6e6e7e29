/** One event of the history, whole. */

import type { JSX } from "preact";
import { exactText } from "../../formatting";
import { Button } from "../../parts/button";
import { CopyButton } from "../../parts/copy_button";
import { zone } from "../../preferences";
import { instanceAddress } from "../../router";
import { FailureView } from "../failure_view";
import { Payload } from "../../parts/payload";
import { fieldsOf, payloadOf, typeWords, type EventRow } from "./events";

export interface EventPaneProps {
  readonly row: EventRow;
  readonly name: string;
  readonly instanceId: string;
  readonly onClose: () => void;
}

function isMoment(field: string): boolean {
  return /(?:At|Start)$/.test(field);
}

export function EventPane({ row, name, instanceId, onClose }: EventPaneProps): JSX.Element {
  const { event } = row;
  const payload = payloadOf(event);
  return (
    <aside class="pane" aria-label="Event" onKeyDown={(key) => key.key === "Escape" && onClose()}>
      <header class="pane-head">
        <h2 class="broken-anywhere">{name || typeWords(event.type)}</h2>
        <Button kind="quiet" size="small" label="Close the pane" title="Close (Escape)" onClick={onClose}>
          ✕
        </Button>
      </header>
      <p class="quiet-text">{event.type}</p>
      <dl class="facts">
        <dt>At</dt>
        <dd>{exactText(row.at, zone.value)}</dd>
        <dt>Turn</dt>
        <dd>
          <a href={instanceAddress(instanceId, { tab: "travel", turn: String(row.turn) })}>{row.turn}</a>
        </dd>
        {event.eventId !== undefined && (
          <>
            <dt>Number</dt>
            <dd>{event.eventId}</dd>
          </>
        )}
        {fieldsOf(event).map(([field, value]) => (
          <>
            <dt>{field}</dt>
            <dd class="broken-anywhere">{isMoment(field) ? exactText(Number(value), zone.value) : value}</dd>
          </>
        ))}
      </dl>
      {event.failureDetails ? (
        <FailureView failure={event.failureDetails} />
      ) : (
        payload && <Payload text={payload.text} label={payload.label} />
      )}
      <div class="row">
        <CopyButton text={() => JSON.stringify(event, null, 2)} label="Copy the event as JSON" />
      </div>
    </aside>
  );
}
