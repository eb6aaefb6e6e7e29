/** What the instance was given and what came of it. */

import type { JSX } from "preact";
import { counted, exactText } from "../formatting";
import { zone } from "../preferences";
import { Payload } from "../parts/payload";
import type { Instance } from "./shapes";

export function Payloads({ row }: { readonly row: Instance }): JSX.Element {
  return (
    <div class="payloads">
      <Part title="Input" text={row.input} />
      <Part title="Output" text={row.output} />
      <Part title="Custom status" text={row.customStatus} />
      <section class="stack tight">
        <h2>Facts</h2>
        <dl class="facts">
          {factsOf(row).map(([name, value]) => (
            <>
              <dt>{name}</dt>
              <dd class="broken-anywhere">{value}</dd>
            </>
          ))}
        </dl>
      </section>
    </div>
  );
}

function Part({ title, text }: { readonly title: string; readonly text?: string | null | undefined }): JSX.Element {
  return (
    <section class="stack tight">
      <h2>{title}</h2>
      {text == null ? <p class="quiet-text">None.</p> : <Payload text={text} label={title} />}
    </section>
  );
}

function factsOf(row: Instance): [string, string][] {
  const moments: [string, number | null | undefined][] = [
    ["Created", row.createdAt],
    ["Updated", row.updatedAt],
    ["Completed", row.completedAt],
  ];
  return [
    ["Execution id", row.executionId],
    ...(row.rootId === row.instanceId ? [] : [["Topmost caller", row.rootId] satisfies [string, string]]),
    ["Partition", String(row.partition)],
    ["Begun anew (continued as new, restarted)", counted(row.generation ?? 0, "time")],
    ...moments.flatMap(([name, at]): [string, string][] => (at ? [[name, exactText(at, zone.value)]] : [])),
  ];
}
