/** The head of a view: its heading, a sentence on what it shows, its actions. It names the document, too. */

import type { ComponentChildren, JSX } from "preact";
import { useEffect } from "preact/hooks";

export interface ViewHeadProps {
  readonly title: string;
  /** What stands here, in a sentence. */
  readonly about?: string;
  /** Buttons at its end. */
  readonly children?: ComponentChildren;
}

export function ViewHead({ title, about, children }: ViewHeadProps): JSX.Element {
  useEffect(() => {
    document.title = `${title} · Tenuto`;
  }, [title]);
  return (
    <header class="view-head">
      <h1>{title}</h1>
      {children && <div class="row">{children}</div>}
      {about && <p>{about}</p>}
    </header>
  );
}
