/** The actions of an instance, and what came of the last one. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Button } from "../../parts/button";
import { statusOf } from "../../statuses";
import type { Live } from "../live";
import type { Instance } from "../shapes";
import { ActionButton } from "./action_button";
import { arranged } from "./kinds";

interface Done {
  readonly text: string;
  readonly statusBefore: string;
}

export function ActionBar({ live, row }: { readonly live: Live; readonly row: Instance }): JSX.Element {
  const done = useSignal<Done | null>(null);
  const isMoreShown = useSignal(false);
  const hasQuestion = (row.waitingFor ?? []).some((wait) => wait.kind === "question");
  const { shown, more } = arranged(row, hasQuestion);
  const status = row.hold ? "held" : statusOf(row);
  const onDone = (text: string): void => {
    done.value = { text, statusBefore: status };
  };
  return (
    <div class="action-bar">
      <div class="row" role="group" aria-label="Actions">
        {shown.map((kind) => (
          <ActionButton key={kind} kind={kind} live={live} row={row} isPrimary={kind === "answer"} onDone={onDone} />
        ))}
        <Button kind="quiet" expanded={isMoreShown.value} onClick={() => (isMoreShown.value = !isMoreShown.value)}>
          {isMoreShown.value ? "Less" : "More"}
        </Button>
        {isMoreShown.value && (
          <div class="action-more">
            {more.map((kind) => (
              <ActionButton key={kind} kind={kind} live={live} row={row} onDone={onDone} />
            ))}
          </div>
        )}
      </div>
      <Outcome done={done.value} status={status} onForget={() => (done.value = null)} />
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
