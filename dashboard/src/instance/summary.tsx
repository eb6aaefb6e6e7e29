/** What it was given and what came of it, in a line each at the top of its page; all of it when it is opened. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { preview } from "../json_text";
import { Payload } from "../parts/payload";
import type { Instance } from "./shapes";

export function Summary({ row }: { readonly row: Instance }): JSX.Element | null {
  const hasResult = row.completedAt != null && row.output != null;
  if (row.input == null && !hasResult) return null;
  return (
    <div class="summary">
      {row.input != null && <Line title="Input" text={row.input} />}
      {hasResult && <Line title="Result" text={row.output ?? ""} />}
    </div>
  );
}

function Line({ title, text }: { readonly title: string; readonly text: string }): JSX.Element {
  const isOpen = useSignal(false); // what is closed costs nothing, however long it is
  return (
    <details class="summary-line" onToggle={(event) => (isOpen.value = event.currentTarget.open)}>
      <summary>
        <span class="field-label">{title}</span> <code class="cut">{preview(text)}</code>
      </summary>
      {isOpen.value && <Payload text={text} label={title} />}
    </details>
  );
}
