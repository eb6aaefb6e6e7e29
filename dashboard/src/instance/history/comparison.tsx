/** Two payloads side by side in one column: what both have, what only one has. */

import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { counted } from "../../formatting";
import { Dialog } from "../../parts/dialog";
import { countOf, differenceOf, type DifferenceLine } from "../difference";
import { pretty } from "../../json_text";
import { payloadOf, typeWords, type EventRow, type HistoryRows } from "./events";

export interface ComparisonProps {
  readonly rows: readonly EventRow[];
  readonly history: HistoryRows;
  readonly onClose: () => void;
}

const SIGNS: Readonly<Record<DifferenceLine["kind"], string>> = { same: " ", left: "−", right: "+", gap: "⋯" };
const WORDS: Readonly<Record<DifferenceLine["kind"], string>> = {
  same: "",
  left: "only first: ",
  right: "only second: ",
  gap: "",
};

export function Comparison({ rows, history, onClose }: ComparisonProps): JSX.Element {
  const [left, right] = [...rows].sort((a, b) => a.index - b.index) as [EventRow, EventRow];
  const lines = useMemo(() => differenceOf(textOf(left), textOf(right)), [left, right]);
  const count = countOf(lines);
  const isEqual = count.left + count.right === 0;
  return (
    <Dialog title="Two payloads" onClose={onClose} size="wide">
      <dl class="facts">
        <dt>− first</dt>
        <dd>{titleOf(left, history)}</dd>
        <dt>+ second</dt>
        <dd>{titleOf(right, history)}</dd>
      </dl>
      <p role="status">
        {isEqual
          ? "They are equal."
          : `${counted(count.left, "line")} only in the first, ${count.right} only in the second.`}
      </p>
      <pre class="difference" tabIndex={0} role="group" aria-label="Difference">
        {lines.map((line, index) => (
          <div key={index} class={line.kind}>
            <span class="difference-number">{line.left ?? ""}</span>
            <span class="difference-number">{line.right ?? ""}</span>
            <span aria-hidden="true">{SIGNS[line.kind]} </span>
            <span class="hidden">{WORDS[line.kind]}</span>
            {line.text}
          </div>
        ))}
      </pre>
    </Dialog>
  );
}

function textOf(row: EventRow): string {
  return pretty(payloadOf(row.event)?.text ?? "null");
}

function titleOf(row: EventRow, history: HistoryRows): string {
  return `${typeWords(row.event.type)} ${history.nameOf(row.event)}, turn ${row.turn}`;
}
