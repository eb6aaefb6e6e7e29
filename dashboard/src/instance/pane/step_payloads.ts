/** The payloads of one step. Pure. */
import { payloadOf, type Payload } from "../history/events";
import type { HistoryEvent, StepEvents } from "../shapes";

export interface StepPayload {
  readonly event: HistoryEvent;
  readonly payload: Payload;
}

/** What the events carry; attempts have the same input, which is told once. Failures are shown elsewhere. */
export function payloadsOf(events: StepEvents["events"]): StepPayload[] {
  const said = new Set<string>();
  return events.flatMap(({ event }) => {
    const payload = payloadOf(event);
    if (!payload || payload.label === "failure" || said.has(`${payload.label} ${payload.text}`)) return [];
    said.add(`${payload.label} ${payload.text}`);
    return [{ event, payload }];
  });
}
