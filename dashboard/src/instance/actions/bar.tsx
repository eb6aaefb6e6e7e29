/** The actions of an instance, and what came of the last one. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Button } from "../../parts/button";
import { standingOf } from "../../statuses";
import type { Instance } from "../shapes";
import { useActing, type Done } from "./acting";
import { ActionButton } from "./action_button";
import { arranged } from "./kinds";

export function ActionBar({ row }: { readonly row: Instance }): JSX.Element {
  const { done } = useActing();
  const isMoreShown = useSignal(false);
  const hasQuestion = (row.waitingFor ?? []).some((wait) => wait.kind === "question");
  const { shown, more } = arranged(row, hasQuestion);
  return (
    <div class="action-bar">
      <div class="row" role="group" aria-label="Actions">
        {shown.map((kind) => (
          <ActionButton key={kind} kind={kind} row={row} isPrimary={kind === "answer"} />
        ))}
        <Button kind="quiet" expanded={isMoreShown.value} onClick={() => (isMoreShown.value = !isMoreShown.value)}>
          {isMoreShown.value ? "Less" : "More"}
        </Button>
        {isMoreShown.value && (
          <div class="action-more">
            {more.map((kind) => (
              <ActionButton key={kind} kind={kind} row={row} />
            ))}
          </div>
        )}
      </div>
      <Outcome done={done.value} status={standingOf(row)} onForget={() => (done.value = null)} />
    </div>
  );
}

const SHOWN_FOR = 12_000;

function Outcome({
  done,
  status,
  onForget,
}: {
  readonly done: Done | null;
  readonly status: string;
  readonly onForget: () => void;
}): JSX.Element {
  const forget = useRef(onForget);
  forget.current = onForget;
  useEffect(() => {
    if (!done) return undefined;
    const timer = setTimeout(() => forget.current(), SHOWN_FOR);
    return () => clearTimeout(timer);
  }, [done]);
  return (
    <p role="status" class={done ? "outcome" : "hidden"}>
      {done && (
        <>
          <span aria-hidden="true">✓ </span>
          {done.text}{" "}
          {done.statusBefore === status ? `It is ${status}.` : `It was ${done.statusBefore}, now it is ${status}.`}
        </>
      )}
    </p>
  );
}
