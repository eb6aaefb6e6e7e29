/** One row of the timeline: what it is, how it stands, and its bars. */
import type { JSX } from "preact";
import { spanText } from "../../formatting";
import { StatusSign } from "../../parts/status_badge";
import { countText } from "../../formatting";
import type { Step } from "../shapes";
import { Cuts } from "./axis";
import { GroupBars, StepBars, type Frame } from "./bars";
import { KindSign } from "./kind_sign";
import { endOf, tallyOf, type GroupRow, type Row } from "./rows";
import { kindText, stateText, titleOf } from "./wording";

export interface RowProps {
  readonly row: Row;
  readonly index: number;
  readonly frame: Frame;
  readonly height: number;
  readonly isNarrow: boolean;
  readonly isSelected: boolean;
  /** Whether the Tab key leads here. */
  readonly isEntry: boolean;
}

export function RowView(props: RowProps): JSX.Element {
  const { row, frame, height, isNarrow } = props;
  const isExpandable = row.type === "group" || row.isExpandable;
  const barTop = isNarrow ? 8 : height / 2;
  return (
    <div
      role="row"
      class={`tl-row ${props.isSelected ? "selected" : ""}`}
      aria-level={row.depth + 1}
      aria-rowindex={props.index + 1}
      aria-expanded={isExpandable ? row.isExpanded : undefined}
      aria-selected={props.isSelected}
      tabIndex={props.isEntry ? 0 : -1}
      data-path={row.path}
      style={{ transform: `translateY(${props.index * height}px)`, height: `${height}px` }}
    >
      <div role="gridcell" class="tl-name" style={{ paddingLeft: `${Math.min(row.depth, 8) * 16}px` }}>
        <span
          class={`tl-fold ${isExpandable ? (row.isExpanded ? "open" : "closed") : ""}`}
          data-fold={isExpandable || undefined}
          aria-hidden="true"
        />
        {row.type === "group" ? <GroupName row={row} /> : <StepName step={row.step} now={frame.now} />}
      </div>
      <div role="presentation" class="tl-bars">
        <svg width={frame.width} height={isNarrow ? 16 : height} aria-hidden="true" focusable="false">
          {row.type === "group" ? (
            <GroupBars steps={row.steps} frame={frame} top={barTop} />
          ) : (
            <StepBars step={row.step} frame={frame} top={barTop} />
          )}
          <Cuts frame={frame} height={height} />
        </svg>
      </div>
    </div>
  );
}

function StepName({ step, now }: { readonly step: Step; readonly now: number }): JSX.Element {
  const isMoment = step.kind === "message" || step.number < 0;
  const length = (step.endedAt ?? now) - step.begunAt;
  const attempts = (step.attempt ?? 1) > 1 ? `, attempt ${step.attempt}` : "";
  return (
    <>
      <KindSign kind={step.kind} />
      <span class="tl-title">{titleOf(step) || kindText(step)}</span>
      <span class="hidden">{` (${kindText(step)}), ${stateText(step)}${attempts}`}</span>
      {(step.attempt ?? 1) > 1 && (
        <span class="tl-attempts" aria-hidden="true">
          ×{step.attempt}
        </span>
      )}
      <span class="tl-span time">{isMoment ? "" : spanText(Math.max(length, 0) / 1e6)}</span>
      <StatusSign status={step.state} />
    </>
  );
}

function GroupName({ row }: { readonly row: GroupRow }): JSX.Element {
  const [first] = row.steps as readonly [Step, ...Step[]];
  const tally = tallyOf(row.steps);
  const parts = [
    `${tally.completed} done`,
    tally.open > 0 ? `${tally.open} open` : "",
    tally.failed > 0 ? `${tally.failed} failed` : "",
    tally.canceled > 0 ? `${tally.canceled} canceled` : "",
  ].filter(Boolean);
  const end = endOf(row.steps);
  const status = tally.failed > 0 ? "failed" : end === null ? "running" : "completed";
  return (
    <>
      <KindSign kind={first.kind} />
      <span class="tl-title">
        {titleOf(first) || kindText(first)} <b class="tl-count">× {countText(row.steps.length)}</b>
      </span>
      <span class="tl-span">{parts.join(", ")}</span>
      <StatusSign status={status} />
    </>
  );
}
