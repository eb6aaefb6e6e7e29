/** What stands where there is nothing: why, and what to do next. */

import type { ComponentChildren, JSX } from "preact";

export function EmptyState({
  title,
  children,
}: {
  readonly title: string;
  readonly children?: ComponentChildren;
}): JSX.Element {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      {children && <div class="prose quiet-text">{children}</div>}
    </div>
  );
}
