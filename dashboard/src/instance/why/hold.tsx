/** A held instance: what is stored and what the code says, side by side, and what repairs it. */

import type { JSX } from "preact";
import { HOLD_REASONS, holdText } from "../../holds";
import { Time } from "../../parts/time";
import { ActionButton } from "../actions/action_button";
import type { Hold, Instance } from "../shapes";

/** These are tried again whenever a host starts; the others only when somebody says so. */
const MISFITS: ReadonlySet<string> = new Set(["decisions", "not_served", "guard", "payload", "poison"]);

function whenTriedAgain(reason: string): string {
  if (MISFITS.has(reason)) return "It goes on by itself when a host starts whose code fits.";
  if (reason === "budget") return "It goes on by itself when its budget has something left.";
  return "It is tried again only when somebody resumes it.";
}

export function HoldView({ row, hold }: { readonly row: Instance; readonly hold: Hold }): JSX.Element {
  const hasSides = hold.recorded != null || hold.produced != null;
  return (
    <section class="why held" aria-label="Why it is held">
      <h2>{`${row.name} is held: ${holdText(hold.reason)}`}</h2>
      {!hasSides && <p class="broken-anywhere">{hold.message}</p>}
      {hasSides && (
        <div class="sides">
          <Side title="Recorded: what its history says" text={hold.recorded} look="recorded" />
          <Side title="Produced: what the code says now" text={hold.produced} look="produced" />
        </div>
      )}
      <p class="small-text quiet-text">
        Held since <Time at={hold.since} />
        {hold.tried != null && (
          <>
            , last tried again <Time at={hold.tried} />
          </>
        )}
        . Nothing that was sent to it is lost. {whenTriedAgain(hold.reason)}
      </p>
      {HOLD_REASONS[hold.reason] && <p class="small-text">{HOLD_REASONS[hold.reason].advice}</p>}
      {hasSides && (
        <details class="small-text">
          <summary>What the host says</summary>
          <p class="broken-anywhere">{hold.message}</p>
        </details>
      )}
      <div class="row">
        <ActionButton kind="resume" row={row} label="Try again" isPrimary />
        <ActionButton kind="restart" row={row} />
        <ActionButton kind="terminate" row={row} />
        <ActionButton kind="fail" row={row} />
      </div>
    </section>
  );
}

function Side({
  title,
  text,
  look,
}: {
  readonly title: string;
  readonly text?: string | null | undefined;
  readonly look: string;
}): JSX.Element {
  return (
    <figure class={`side-of ${look}`}>
      <figcaption>{title}</figcaption>
      <pre class="broken-anywhere" tabIndex={0}>
        {text ?? "nothing"}
      </pre>
    </figure>
  );
}
