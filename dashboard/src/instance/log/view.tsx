/** The last lines that were logged while it ran, as its host keeps them: live, and honest about what is gone. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { now } from "../../clock";
import { get } from "../../api/client";
import { useResource } from "../../api/resource";
import { countText, shortText } from "../../formatting";
import { Button } from "../../parts/button";
import { CopyButton } from "../../parts/copy_button";
import { EmptyState } from "../../parts/empty_state";
import { ErrorNote } from "../../parts/error_note";
import { Time } from "../../parts/time";
import { zone } from "../../preferences";
import type { Live } from "../live";
import type { InstanceLog, LogLine } from "../shapes";

const MOST_LINES = 1_000;
/** Lines come between turns, too. */
const ASKED_EVERY = 2_000;

export function LogTab({ live }: { readonly live: Live }): JSX.Element {
  const isOver = live.instance.value.value?.completedAt != null;
  const path = `/admin/instances/${encodeURIComponent(live.id)}/log`;
  const log = useResource<InstanceLog>(
    `log ${live.id} ${isOver}`,
    (signal) => get(path, { limit: MOST_LINES }, signal),
    isOver ? {} : { every: ASKED_EVERY },
  );
  const changes = live.changes.value;
  useEffect(() => log.reload(), [changes]);
  const page = log.value.value;
  const error = log.error.value;
  if (!page)
    return error ? (
      <ErrorNote error={error} retry={log.reload} />
    ) : (
      <p class="quiet-text" aria-busy="true">
        Reading its log …
      </p>
    );
  return <Lines page={page} />;
}

function Lines({ page }: { readonly page: InstanceLog }): JSX.Element {
  const wanted = useSignal("");
  const isImportant = useSignal(false);
  const text = wanted.value.trim().toLowerCase();
  const lines = page.lines.filter((line) => {
    if (isImportant.value && !IMPORTANT.has(line.level.toUpperCase())) return false;
    return !text || `${line.message} ${line.logger ?? ""} ${line.function ?? ""}`.toLowerCase().includes(text);
  });
  return (
    <div class="stack tight">
      <Standing page={page} />
      {page.lines.length > 0 && (
        <div class="row">
          <input
            type="search"
            placeholder="Find in the lines"
            aria-label="Find in the lines"
            value={wanted.value}
            onInput={(event) => (wanted.value = event.currentTarget.value)}
          />
          <Button size="small" pressed={isImportant.value} onClick={() => (isImportant.value = !isImportant.value)}>
            Warnings and errors
          </Button>
          <CopyButton text={() => lines.map(asText).join("\n")} label="Copy lines" />
          <span class="quiet-text small-text">{`${countText(lines.length)} of ${countText(page.lines.length)} lines`}</span>
        </div>
      )}
      {page.lines.length > 0 && <Tail lines={lines} />}
    </div>
  );
}

const IMPORTANT: ReadonlySet<string> = new Set(["WARNING", "ERROR", "CRITICAL"]);

/** What is kept, what is gone, and who has it. */
function Standing({ page }: { readonly page: InstanceLog }): JSX.Element | null {
  if (page.lines.length === 0 && page.host) {
    return (
      <EmptyState title={`Host ${page.host} has its lines`}>
        <p>
          It serves this instance now.{" "}
          {page.address ? (
            <>
              Ask it at <a href={`${page.address}/dashboard`}>{page.address}</a>.
            </>
          ) : (
            "Its address is not known."
          )}
        </p>
      </EmptyState>
    );
  }
  if (page.lines.length === 0) {
    return (
      <EmptyState title="No lines are kept">
        <p>
          Lines that its orchestrator and activities log appear here. The host keeps them in memory
          {page.keptSince ? (
            <>
              , since <Time at={page.keptSince} />
            </>
          ) : null}
          ; what was logged before is in the host's own log.
        </p>
      </EmptyState>
    );
  }
  const isDropped = (page.dropped ?? 0) > 0;
  return (
    <p class="small-text quiet-text">
      {isDropped && `${countText(page.dropped ?? 0)} older lines are gone; the host keeps the last ones in memory. `}
      {page.keptSince != null && (
        <>
          The host keeps its lines since <Time at={page.keptSince} look="exact" />.
        </>
      )}
    </p>
  );
}

/** Stays at the end while one is there; who scrolls up reads in peace. */
function Tail({ lines }: { readonly lines: readonly LogLine[] }): JSX.Element {
  const frame = useRef<HTMLDivElement>(null);
  const isAtEnd = useRef(true);
  useLayoutEffect(() => {
    if (isAtEnd.current && frame.current) frame.current.scrollTop = frame.current.scrollHeight;
  });
  return (
    <div
      ref={frame}
      class="log"
      role="log"
      aria-label="Log lines"
      tabIndex={0}
      onScroll={(event) => {
        const { scrollTop, clientHeight, scrollHeight } = event.currentTarget;
        isAtEnd.current = scrollTop + clientHeight > scrollHeight - 24;
      }}
    >
      {lines.map((line, index) => (
        <p key={index} class={`log-line ${line.level.toLowerCase()}`}>
          <time class="time">{shortText(line.at, now.peek(), zone.value)}</time>
          <b class="log-level">{line.level.toUpperCase()}</b>
          <span class="log-where">
            {line.function ?? ""}
            {(line.attempt ?? 1) > 1 && ` #${line.attempt}`}
          </span>
          <span class="log-text broken-anywhere">
            {line.message}
            {line.logger && <span class="quiet-text">{` ${line.logger}`}</span>}
          </span>
        </p>
      ))}
    </div>
  );
}

function asText(line: LogLine): string {
  return `${new Date(line.at / 1000).toISOString()} ${line.level} [${line.function ?? ""}] ${line.logger ?? ""}: ${line.message}`;
}
