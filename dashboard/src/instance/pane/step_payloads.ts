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

/** How many attempts the call may have, as its first one was recorded; null where there is no such policy. */
export function mostAttempts(events: StepEvents["events"]): number | null {
  for (const { event } of events) {
    const retry = event["retry"] as { readonly maxAttempts?: number } | null | undefined;
    if (retry?.maxAttempts !== undefined) return retry.maxAttempts;
  }
  return null;
}
