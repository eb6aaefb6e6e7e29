/** The side pane of a step: how it went, what went in and came out, what failed and why. */

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { countText, spanText } from "../../formatting";
import { Button } from "../../parts/button";
import { StatusBadge } from "../../parts/status_badge";
import { Time } from "../../parts/time";
import { instanceAddress } from "../../router";
import { FailureView } from "../failure_view";
import type { Attempt, Microseconds, Step } from "../shapes";
import { KindSign } from "../timeline/kind_sign";
import { kindText, stateText, titleOf } from "../timeline/wording";
import type { Found } from "./found";
import { StepPayloads } from "./payloads";

export interface StepPaneProps {
  readonly found: Found;
  readonly now: Microseconds;
  readonly onClose: () => void;
}

export function StepPane({ found, now, onClose }: StepPaneProps): JSX.Element {
  const { step, owner } = found;
  const heading = useRef<HTMLHeadingElement>(null);
  const before = useRef<Element | null>(null);
  useEffect(() => {
    before.current = document.activeElement;
    heading.current?.focus({ preventScroll: true });
    return () => {
      if (before.current instanceof HTMLElement || before.current instanceof SVGElement)
        before.current.focus({ preventScroll: true });
    };
  }, []);
  return (
    <aside class="pane" aria-label="Step" onKeyDown={(event) => event.key === "Escape" && onClose()}>
      <header class="pane-head">
        <KindSign kind={step.kind} />
        <h2 ref={heading} tabIndex={-1} class="broken-anywhere">
          {titleOf(step) || kindText(step)}
        </h2>
        <Button kind="quiet" size="small" label="Close the pane" title="Close (Escape)" onClick={onClose}>
          ✕
        </Button>
      </header>
      <div class="row">
        <StatusBadge status={step.state}>{stateText(step)}</StatusBadge>
        <span class="quiet-text">{kindText(step)}</span>
      </div>
      <StepFacts step={step} owner={owner} now={now} />
      {step.state === "failed" && step.failure && <FailureView failure={step.failure} />}
      <Attempts attempts={step.attempts ?? []} now={now} />
      <StepPayloads found={found} />
    </aside>
  );
}

function StepFacts({
  step,
  owner,
  now,
}: {
  readonly step: Step;
  readonly owner: string;
  readonly now: Microseconds;
}): JSX.Element {
  const isMoment = step.kind === "message" || step.number < 0;
  const hasEnded = step.endedAt != null;
  const due = step.kind === "timer" ? "Due" : step.state === "retrying" ? "Next attempt" : "Gives up";
  return (
    <dl class="facts">
      <Fact name={isMoment ? "At" : "Begun"}>
        <Time at={step.begunAt} look="exact" />
        <InTurn owner={owner} turn={step.turn} />
      </Fact>
      {!isMoment && step.endedAt != null && (
        <Fact name="Ended">
          <Time at={step.endedAt} look="exact" />
          <InTurn owner={owner} turn={step.endedTurn} />
        </Fact>
      )}
      {!isMoment && (
        <Fact name={hasEnded ? "Took" : "For"}>
          {spanText(Math.max((step.endedAt ?? now) - step.begunAt, 0) / 1e6)}
        </Fact>
      )}
      {step.dueAt != null && !hasEnded && (
        <Fact name={due}>
          <Time at={step.dueAt} look="exact" /> (<Time at={step.dueAt} />)
        </Fact>
      )}
      {step.instanceId && (
        <Fact name={step.kind === "message" ? "To" : "Instance"}>
          <a href={instanceAddress(step.instanceId)}>{step.instanceId}</a>
        </Fact>
      )}
      {step.url && <Fact name="Answered at">{step.url}</Fact>}
      {step.request && <Fact name="Asks for">{step.request}</Fact>}
    </dl>
  );
}

function Fact({ name, children }: { readonly name: string; readonly children: ComponentChildren }): JSX.Element {
  return (
    <>
      <dt>{name}</dt>
      <dd class="broken-anywhere">{children}</dd>
    </>
  );
}

/** Leads to what was known then. */
function InTurn({
  owner,
  turn,
}: {
  readonly owner: string;
  readonly turn: number | null | undefined;
}): JSX.Element | null {
  if (!turn) return null;
  return (
    <>
      {" in "}
      <a href={instanceAddress(owner, { tab: "travel", turn: String(turn) })}>turn {turn}</a>
    </>
  );
}

function Attempts({
  attempts,
  now,
}: {
  readonly attempts: readonly Attempt[];
  readonly now: Microseconds;
}): JSX.Element | null {
  if (attempts.length < 2) return null;
  return (
    <section class="stack tight">
      <h3>{`${countText(attempts.length)} attempts`}</h3>
      <ol class="attempts">
        {attempts.map((attempt) => (
          <li key={attempt.attempt}>
            <p class="row">
              <StatusBadge
                status={attempt.failure ? "failed" : attempt.endedAt == null ? "running" : "completed"}
              >{`attempt ${attempt.attempt}`}</StatusBadge>
              <Time at={attempt.begunAt} look="short" />
              <span class="time quiet-text">
                {spanText(Math.max((attempt.endedAt ?? now) - attempt.begunAt, 0) / 1e6)}
              </span>
            </p>
            {attempt.failure && <FailureView failure={attempt.failure} />}
          </li>
        ))}
      </ol>
    </section>
  );
}
