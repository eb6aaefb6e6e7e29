/** What stands beside the pointer or the focused row: the step in a few lines. The row says the same to screen readers. */
import type { JSX } from "preact";
import { exactText, spanText } from "../../formatting";
import { StatusSign } from "../../parts/status_badge";
import { zone } from "../../preferences";
import { headline } from "../failures";
import type { Microseconds, Step } from "../shapes";
import { offsetText } from "./scale";
import { kindText, stateText, titleOf } from "./wording";

export interface Hovered {
  readonly step: Step;
  readonly x: number;
  readonly y: number;
}

const WIDTH = 300;

export function Tooltip({
  hovered,
  origin,
  now,
}: {
  readonly hovered: Hovered;
  readonly origin: Microseconds;
  readonly now: Microseconds;
}): JSX.Element {
  const { step } = hovered;
  const left = Math.min(hovered.x + 14, innerWidth - WIDTH - 12);
  const isLow = hovered.y > innerHeight - 220;
  const place = isLow ? { bottom: `${innerHeight - hovered.y + 14}px` } : { top: `${hovered.y + 16}px` };
  return (
    <div class="tl-tip" aria-hidden="true" style={{ left: `${Math.max(left, 8)}px`, ...place }}>
      <p class="tl-tip-title">{titleOf(step) || kindText(step)}</p>
      <p class="tl-tip-state">
        <StatusSign status={step.state} /> {stateText(step)}
        <span class="quiet-text">{kindText(step)}</span>
      </p>
      <dl>
        <dt>begun</dt>
        <dd>
          {exactText(step.begunAt, zone.value)} (+{offsetText(Math.max(step.begunAt - origin, 0))})
        </dd>
        {step.kind !== "message" && (
          <>
            <dt>{step.endedAt == null ? "for" : "took"}</dt>
            <dd>{spanText(Math.max((step.endedAt ?? now) - step.begunAt, 0) / 1e6)}</dd>
          </>
        )}
        {step.dueAt != null && (
          <>
            <dt>due</dt>
            <dd>{exactText(step.dueAt, zone.value)}</dd>
          </>
        )}
        {(step.attempt ?? 1) > 1 && (
          <>
            <dt>attempt</dt>
            <dd>{step.attempt}</dd>
          </>
        )}
      </dl>
      {step.failure && (step.state === "failed" || step.state === "retrying") && (
        <p class="tl-tip-failure">{headline(step.failure).slice(0, 160)}</p>
      )}
    </div>
  );
}
