/** What is wrong, as a list; one calm line when nothing is. */

import type { JSX } from "preact";
import type { Problem } from "./problems";

export function Problems({
  problems,
  isKnown,
}: {
  readonly problems: readonly Problem[];
  readonly isKnown: boolean;
}): JSX.Element {
  if (problems.length === 0) {
    return (
      <section class={`all-well ${isKnown ? "" : "unknown"}`} aria-label="What is wrong">
        <svg viewBox="0 0 16 16" aria-hidden="true">
          <path d="M3 8.5 6.5 12 13 4.5" />
        </svg>
        {isKnown ? "All is well: nothing is held, failing or falling behind." : "Looking…"}
      </section>
    );
  }
  return (
    <section class="card" aria-label="What is wrong">
      <ul class="problems">
        {problems.map((problem) => (
          <li key={problem.id} class={`problem ${problem.weight}`}>
            <svg class="problem-sign" viewBox="0 0 16 16" aria-hidden="true">
              {problem.weight === "bad" ? (
                <path d="M8 1.5 14.8 14H1.2zM8 6v4m0 1.6v.2" />
              ) : (
                <path d="M8 1.8a6.2 6.2 0 1 1 0 12.4A6.2 6.2 0 0 1 8 1.8M8 4.8v4m0 2.2v.2" />
              )}
            </svg>
            <div class="problem-text">
              <p>
                <span class="hidden">{problem.weight === "bad" ? "Wrong: " : "Warning: "}</span>
                <strong>{problem.text}</strong>
              </p>
              {problem.more && <p class="quiet-text">{problem.more}</p>}
            </div>
            {problem.address && (
              <a class="button small" href={problem.address}>
                {problem.link}
              </a>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
