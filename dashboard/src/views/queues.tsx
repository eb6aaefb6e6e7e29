/** Queues: how each stands, and the next messages of one. Nothing is taken by looking. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { get, post } from "../api/client";
import { useResource } from "../api/resource";
import { refusal } from "../api/session";
import type { QueueMessage, QueueStanding } from "../api/types";
import { counted, countText } from "../formatting";
import { Button } from "../parts/button";
import { Confirmation } from "../parts/dialog";
import { EmptyState } from "../parts/empty_state";
import { ReadError } from "../parts/read_error";
import { Payload } from "../parts/payload";
import { Table, type Column } from "../parts/table";
import { Time } from "../parts/time";
import { ViewHead } from "../parts/view_head";
import { addressOf, route } from "../router";
import { PublishDialog } from "./publish_dialog";

const OFTEN = 3000;
const SHOWN_MESSAGES = 50;

export function QueuesView(): JSX.Element {
  const { queue } = route.value.query;
  const queues = useResource("queues", () => get<readonly QueueStanding[]>("/admin/queues"), { every: OFTEN });
  const known = queues.value.value;
  const isQueueing = useSignal(false);
  return (
    <>
      <ViewHead
        title="Queues"
        about="Messages that wait for the function that takes them. Nothing is taken by looking."
      >
        <Button kind="primary" refusal={refusal("operate")} onClick={() => (isQueueing.value = true)}>
          Queue a message
        </Button>
      </ViewHead>
      <ReadError of={queues} isEmpty={queues.value.value === null} />
      {known?.length === 0 && (
        <div class="card">
          <EmptyState title="No queue has messages" isSure={queues.isFresh.value}>
            A queue is there as long as something is in it.
          </EmptyState>
        </div>
      )}
      {known && known.length > 0 && (
        <section class="card" aria-label="Queues">
          <Table label="Queues" columns={COLUMNS} rows={known} keyOf={(one) => one.name} />
        </section>
      )}
      {queue && <MessagesCard key={queue} queue={queue} />}
      {isQueueing.value && (
        <PublishDialog
          kind="message"
          place={queue ?? ""}
          known={(known ?? []).map((one) => one.name)}
          onClose={() => (isQueueing.value = false)}
        />
      )}
    </>
  );
}

const COLUMNS: readonly Column<QueueStanding>[] = [
  {
    id: "name",
    label: "Queue",
    isWide: true,
    cell: (one) => (
      <a href={addressOf("queues", { queue: one.name })} title="Its next messages">
        {one.name}
      </a>
    ),
  },
  { id: "ready", label: "Ready", title: "Can be taken now", isNumber: true, cell: (one) => countText(one.ready) },
  {
    id: "delayed",
    label: "Delayed",
    title: "To be taken later, or tried again then",
    isNumber: true,
    cell: (one) => countText(one.delayed),
  },
  {
    id: "work",
    label: "In work",
    title: "A function is at them now",
    isNumber: true,
    cell: (one) => countText(one.inWork),
  },
  { id: "oldest", label: "Oldest", isNumber: true, cell: (one) => (one.oldest ? <Time at={one.oldest} /> : "–") },
  {
    id: "failed",
    label: "Put aside",
    isNumber: true,
    cell: (one) =>
      one.failed > 0 ? (
        <a href={addressOf("failed-deliveries", { source: "queue", name: one.name })}>{countText(one.failed)}</a>
      ) : (
        "0"
      ),
  },
];

function MessagesCard({ queue }: { readonly queue: string }): JSX.Element {
  const path = `/admin/queues/${encodeURIComponent(queue)}`;
  const messages = useResource(
    queue,
    () => get<readonly QueueMessage[]>(`${path}/messages`, { limit: SHOWN_MESSAGES }),
    { every: OFTEN },
  );
  const asked = useSignal<readonly string[] | "all" | null>(null);
  const wanted = asked.value;
  const card = useRef<HTMLElement>(null);
  // Who asks for a queue by its name wants to see its messages, however long the list above is.
  useEffect(() => card.current?.scrollIntoView({ block: "nearest" }), []);
  const rows = messages.value.value;
  return (
    <section ref={card} class="card" aria-labelledby="messages-head">
      <header class="card-head">
        <h2 id="messages-head">Next messages of {queue}</h2>
        <Button
          size="small"
          kind="danger"
          refusal={refusal("admin") ?? (rows?.length ? null : "It is empty.")}
          onClick={() => (asked.value = "all")}
        >
          Drop all
        </Button>
      </header>
      <ReadError of={messages} isEmpty={messages.value.value === null} />
      {rows?.length === 0 && messages.isFresh.value && <p class="card-body quiet-text">It is empty now.</p>}
      <ul class="items">
        {(rows ?? []).map((message) => (
          <li key={message.id}>
            <MessageItem message={message} onDrop={() => (asked.value = [message.id])} />
          </li>
        ))}
      </ul>
      {wanted && (
        <Confirmation
          title={wanted === "all" ? `Drop all messages of ${queue}?` : `Drop ${counted(wanted.length, "message")}?`}
          verb="Drop"
          isDangerous
          act={() => post(`${path}/drop`, { ids: wanted === "all" ? null : wanted })}
          onDone={messages.reload}
          onClose={() => (asked.value = null)}
        >
          <p>Deleted for good: no function gets them.</p>
        </Confirmation>
      )}
    </section>
  );
}

function MessageItem({
  message,
  onDrop,
}: {
  readonly message: QueueMessage;
  readonly onDrop: () => void;
}): JSX.Element {
  return (
    <details class="item">
      <summary>
        <span class="item-main">
          <span class="mono cut">{message.id}</span>
          {message.attempts > 0 && <span class="quiet-text">{counted(message.attempts, "attempt")} so far</span>}
        </span>
        <span class="quiet-text small-text">
          queued <Time at={message.queuedAt} />
          {message.visibleAt ? (
            <>
              , due <Time at={message.visibleAt} />
            </>
          ) : null}
        </span>
      </summary>
      <div class="item-body">
        {message.cause && (
          <p class="quiet-text">
            Came of <span class="mono">{message.cause}</span>
          </p>
        )}
        <Payload value={message.data} label="Its data" />
        <div class="row">
          <Button size="small" kind="danger" refusal={refusal("admin")} onClick={onDrop}>
            Drop
          </Button>
        </div>
      </div>
    </details>
  );
}
