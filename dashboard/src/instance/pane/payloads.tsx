/** What went in and came out of one step, read when its pane is opened and again when it has gone on. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { get } from "../../api/client";
import { useResource } from "../../api/resource";
import { countText } from "../../formatting";
import { Button } from "../../parts/button";
import { Payload } from "../../parts/payload";
import { ReadError } from "../../parts/read_error";
import { typeWords } from "../history/events";
import type { StepEvents } from "../shapes";
import type { Found } from "./found";
import { mostAttempts, payloadsOf } from "./step_payloads";

const SHOWN_AT_FIRST = 3;
/** A step that goes on says so itself. */
const SELDOM = 60_000;

export function StepPayloads({ found }: { readonly found: Found }): JSX.Element {
  const { step, owner, execution } = found;
  const path = `/admin/instances/${encodeURIComponent(owner)}/steps/${step.number}`;
  const read = useResource(`${path} ${execution}`, (signal) => get<StepEvents>(path, {}, signal), {
    every: SELDOM,
  });
  const isFirst = useRef(true);
  useEffect(() => {
    if (!isFirst.current) read.reload();
    isFirst.current = false;
  }, [step.changedAt, step.state, step.attempt]);
  const shown = useSignal(SHOWN_AT_FIRST);
  if (read.error.value && !read.value.value) return <ReadError of={read} isEmpty />;
  if (!read.value.value)
    return (
      <p class="quiet-text" aria-busy="true">
        Reading what went in and out …
      </p>
    );
  const events = payloadsOf(read.value.value.events);
  const most = mostAttempts(read.value.value.events);
  return (
    <>
      {most !== null && (
        <p class="quiet-text">{`Attempt ${countText(step.attempt ?? 1)} of at most ${countText(most)}.`}</p>
      )}
      {events.slice(0, shown.value).map(({ event, payload }, index) => (
        <section key={index} class="stack tight">
          <h3>
            {payload.label === "input" ? "Input" : payload.label === "result" ? "Output" : payload.label}{" "}
            <span class="quiet-text small-text">{typeWords(event.type)}</span>
          </h3>
          <Payload text={payload.text} label={payload.label} />
        </section>
      ))}
      {events.length > shown.value && (
        <Button
          size="small"
          onClick={() => (shown.value = events.length)}
        >{`${countText(events.length - shown.value)} more payloads`}</Button>
      )}
    </>
  );
}
