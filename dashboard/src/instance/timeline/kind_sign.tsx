/** A small sign for each kind of step. */
import type { JSX } from "preact";
import type { StepKind } from "../shapes";

const SIGNS: Readonly<Record<StepKind, string>> = {
  activity: "M3 3h10v10H3z",
  orchestration: "M2.5 3.5h5v4h-5zM8.5 9h5v4h-5zM5 7.5V11h3.5",
  timer: "M8 3a5.2 5.2 0 1 1 0 10.4A5.2 5.2 0 0 1 8 3zM8 5.2v3l2.2 1.4",
  event: "M8.8 2 4 9h3.6l-.8 5L12 7H8.2z",
  question: "M5.6 6a2.4 2.4 0 1 1 3.4 2.2c-.7.4-1 .8-1 1.6M8 12.3v.6",
  message: "M2.5 4h11v8h-11zM2.5 4.5 8 8.6l5.5-4.1",
};

export function KindSign({ kind }: { readonly kind: StepKind }): JSX.Element {
  return (
    <svg class={`kind-sign ${kind}`} viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
      <path d={SIGNS[kind]} />
    </svg>
  );
}
