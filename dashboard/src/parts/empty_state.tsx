/** What stands where there is nothing: why, and what to do next. */

import type { ComponentChildren, JSX } from "preact";

export interface EmptyStateProps {
  readonly title: string;
  readonly children?: ComponentChildren;
  /** Whether that is known for sure now: else it may have come in the meantime, and nothing is claimed. */
  readonly isSure?: boolean;
}

export function EmptyState({ title, children, isSure = true }: EmptyStateProps): JSX.Element {
  if (!isSure) {
    return (
      <div class="empty" aria-busy="true">
        <p class="empty-title">Looking…</p>
      </div>
    );
  }
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      {children && <div class="prose quiet-text">{children}</div>}
    </div>
  );
}
