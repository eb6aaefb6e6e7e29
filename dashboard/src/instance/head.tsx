/** Who the instance is: name, id, status, times, tags, parent, custom status. */

import type { ComponentChildren, JSX } from "preact";
import { counted } from "../formatting";
import { CopyButton } from "../parts/copy_button";
import { StatusBadge } from "../parts/status_badge";
import { Duration, Time } from "../parts/time";
import { addressOf, instanceAddress } from "../router";
import { statusOf } from "../statuses";
import { inOrder, pretty } from "../json_text";
import type { Instance } from "./shapes";

const SHORT_STATUS = 140;

export function Head({ row, actions }: { readonly row: Instance; readonly actions: ComponentChildren }): JSX.Element {
  return (
    <header class="instance-head">
      <nav aria-label="Above" class="small-text instance-above">
        <a href={addressOf("instances")}>Instances</a>
        {row.parent && (
          <>
            <span aria-hidden="true"> / </span>
            <a href={instanceAddress(row.parent.instanceId)}>
              {row.parent.name} {row.parent.instanceId}
            </a>
          </>
        )}
      </nav>
      <div class="instance-top">
        <div class="row instance-title">
          <h1 class="broken-anywhere">{row.name}</h1>
          <StatusBadge status={statusOf(row)} />
          {row.hold && <StatusBadge status="held" />}
          <span class="instance-id">
            <code class="broken-anywhere">{row.instanceId}</code>
            <CopyButton text={row.instanceId} label="Copy id" />
          </span>
        </div>
        {actions}
      </div>
      <dl class="instance-facts">
        <Fact name="Started">
          <Time at={row.createdAt} />
        </Fact>
        {row.scheduledAt != null && (
          <Fact name="Scheduled for">
            <Time at={row.scheduledAt} />
          </Fact>
        )}
        <Fact name={row.completedAt == null ? "Running for" : "Took"}>
          <Duration from={row.createdAt} until={row.completedAt ?? null} />
        </Fact>
        {row.completedAt != null && (
          <Fact name="Ended">
            <Time at={row.completedAt} />
          </Fact>
        )}
        {row.version && <Fact name="Version">{row.version}</Fact>}
        {(row.generation ?? 0) > 0 && <Fact name="Begun anew">{counted(row.generation ?? 0, "time")}</Fact>}
        {Object.entries(row.tags ?? {}).map(([name, value]) => (
          <Fact key={name} name={name} isTag>
            {value}
          </Fact>
        ))}
      </dl>
      {row.customStatus && <CustomStatus text={row.customStatus} />}
    </header>
  );
}

function Fact({
  name,
  children,
  isTag,
}: {
  readonly name: string;
  readonly children: ComponentChildren;
  readonly isTag?: boolean;
}): JSX.Element {
  return (
    <div class={isTag ? "fact tag" : "fact"}>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function CustomStatus({ text }: { readonly text: string }): JSX.Element {
  const isShort = text.length <= SHORT_STATUS;
  return (
    <div class="custom-status">
      <span class="field-label">Custom status</span>
      {isShort ? (
        <code class="broken-anywhere">{inOrder(text)}</code>
      ) : (
        <pre class="broken-anywhere">{pretty(text)}</pre>
      )}
    </div>
  );
}
