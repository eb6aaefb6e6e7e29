/** A failure with its causes, the first cause last; tracebacks open on demand. */

import type { JSX } from "preact";
import { causesOf } from "./failures";
import type { FailureDetails } from "./shapes";

export function FailureView({ failure }: { readonly failure: FailureDetails }): JSX.Element {
  return (
    <ol class="causes">
      {causesOf(failure).map((cause, index) => (
        <li key={index}>
          {cause.joint && <span class="quiet-text small-text">{cause.joint}</span>}
          <p class="broken-anywhere">
            <b>{cause.title}</b>
            {cause.message && `: ${cause.message}`}
          </p>
          {cause.notes.map((note) => (
            <p key={note} class="small-text broken-anywhere">
              {note}
            </p>
          ))}
          {cause.trace && (
            <details>
              <summary>Traceback</summary>
              <pre class="trace" tabIndex={0}>
                {cause.trace}
              </pre>
            </details>
          )}
        </li>
      ))}
    </ol>
  );
}
