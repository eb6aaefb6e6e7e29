/** Topics: their events, and the subscriptions with what they are behind. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { get, remove } from "../api/client";
import { useResource } from "../api/resource";
import { refusal } from "../api/session";
import type { Subscription, TopicEvent, TopicStanding } from "../api/types";
import { bytesText, countText } from "../formatting";
import { Button } from "../parts/button";
import { Confirmation } from "../parts/dialog";
import { EmptyState } from "../parts/empty_state";
import { ReadError } from "../parts/read_error";
import { Payload } from "../parts/payload";
import { StatusBadge } from "../parts/status_badge";
import { Table, type Column } from "../parts/table";
import { Time } from "../parts/time";
import { ViewHead } from "../parts/view_head";
import { addressOf, route } from "../router";
import { PublishDialog } from "./publish_dialog";

const OFTEN = 3000;
const SHOWN_EVENTS = 50;

export function TopicsView(): JSX.Element {
  const { topic } = route.value.query;
  const topics = useResource("topics", () => get<readonly TopicStanding[]>("/admin/topics"), { every: OFTEN });
  const subscriptions = useResource("subscriptions", () => get<readonly Subscription[]>("/admin/subscriptions"), {
    every: OFTEN,
  });
  const known = topics.value.value;
  const readers = subscriptions.value.value ?? [];
  const isPublishing = useSignal(false);
  return (
    <>
      <ViewHead title="Topics" about="Events that are published here, and who reads them. Nothing is taken by looking.">
        <Button kind="primary" refusal={refusal("operate")} onClick={() => (isPublishing.value = true)}>
          Publish an event
        </Button>
      </ViewHead>
      <ReadError of={topics} isEmpty={topics.value.value === null} />
      {known?.length === 0 && readers.length === 0 && (
        <div class="card">
          <EmptyState title="No topic has events" isSure={topics.isFresh.value && subscriptions.isFresh.value}>
            A topic begins with its first event: <code>ctx.publish</code>, <code>POST /admin/publish</code>.
          </EmptyState>
        </div>
      )}
      {known && known.length > 0 && (
        <section class="card" aria-label="Topics">
          <Table label="Topics" columns={topicColumns(topic)} rows={known} keyOf={(one) => one.name} />
        </section>
      )}
      {readers.length > 0 && (
        <section class="card" aria-labelledby="subscriptions-head">
          <header class="card-head">
            <h2 id="subscriptions-head">Subscriptions</h2>
          </header>
          <Subscriptions
            rows={topic ? readers.filter((one) => one.topic === topic) : readers}
            onChange={subscriptions.reload}
          />
        </section>
      )}
      {topic && <EventsCard key={topic} topic={topic} />}
      {isPublishing.value && (
        <PublishDialog
          kind="event"
          place={topic ?? ""}
          known={[...new Set([...(known ?? []).map((one) => one.name), ...readers.map((one) => one.topic)])]}
          onClose={() => (isPublishing.value = false)}
        />
      )}
    </>
  );
}

function topicColumns(chosen: string | undefined): readonly Column<TopicStanding>[] {
  return [
    {
      id: "name",
      label: "Topic",
      isWide: true,
      cell: (one) => (
        <a href={addressOf("topics", { topic: one.name })} aria-current={one.name === chosen ? "true" : undefined}>
          {one.name}
        </a>
      ),
    },
    { id: "events", label: "Events", isNumber: true, cell: (one) => countText(one.events) },
    { id: "bytes", label: "Size", isNumber: true, cell: (one) => bytesText(one.bytes) },
    { id: "first", label: "Oldest", isNumber: true, cell: (one) => <Time at={one.first} /> },
    { id: "last", label: "Newest", isNumber: true, cell: (one) => <Time at={one.last} /> },
  ];
}

function EventsCard({ topic }: { readonly topic: string }): JSX.Element {
  const events = useResource(
    topic,
    () => get<readonly TopicEvent[]>(`/admin/topics/${encodeURIComponent(topic)}/events`, { limit: SHOWN_EVENTS }),
    { every: OFTEN },
  );
  return (
    <section class="card" aria-labelledby="events-head">
      <header class="card-head">
        <h2 id="events-head">Newest events of {topic}</h2>
        <a href={addressOf("topics")}>All topics</a>
      </header>
      <ReadError of={events} isEmpty={events.value.value === null} />
      {events.value.value?.length === 0 && events.isFresh.value && (
        <p class="card-body quiet-text">It has no events now.</p>
      )}
      <ul class="items">
        {(events.value.value ?? []).map((event) => (
          <li key={event.position}>
            <EventItem event={event} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function EventItem({ event }: { readonly event: TopicEvent }): JSX.Element {
  return (
    <details class="item">
      <summary>
        <span class="item-main">
          <span>
            <strong>{event.type ?? "event"}</strong>
            {event.key && <span class="quiet-text"> key {event.key}</span>}
          </span>
          <span class="mono quiet-text cut">{event.id}</span>
        </span>
        <span class="quiet-text small-text">
          {countText(event.position)}, <Time at={event.publishedAt} />
        </span>
      </summary>
      <div class="item-body">
        <dl class="facts">
          {event.source && <dt>Source</dt>}
          {event.source && <dd>{event.source}</dd>}
          {event.subject && <dt>Subject</dt>}
          {event.subject && <dd>{event.subject}</dd>}
          {event.cause && <dt>Came of</dt>}
          {event.cause && <dd class="mono">{event.cause}</dd>}
        </dl>
        <Payload value={event.data ?? null} label="Its data" />
      </div>
    </details>
  );
}

function Subscriptions({
  rows,
  onChange,
}: {
  readonly rows: readonly Subscription[];
  readonly onChange: () => void;
}): JSX.Element {
  const asked = useSignal<Subscription | null>(null);
  const columns: readonly Column<Subscription>[] = [
    ...SUBSCRIPTION_COLUMNS,
    {
      id: "forget",
      label: "Actions",
      isLabelHidden: true,
      isNumber: true,
      cell: (one) => (
        <Button
          size="small"
          label={`Delete ${one.name}`}
          title="Delete its place in the topic, for a function that is not there any more"
          refusal={refusal("admin") ?? (one.isServed === false ? null : "A host serves it.")}
          onClick={() => (asked.value = one)}
        >
          Delete
        </Button>
      ),
    },
  ];
  const one = asked.value;
  return (
    <>
      <Table label="Subscriptions" columns={columns} rows={rows} keyOf={(row) => `${row.name} ${row.topic}`} />
      {one && (
        <Confirmation
          title={`Delete the subscription ${one.name}?`}
          verb="Delete"
          isDangerous
          act={() => remove(`/admin/subscriptions/${encodeURIComponent(one.name)}`, { topic: one.topic })}
          onDone={onChange}
          onClose={() => (asked.value = null)}
        >
          <p>
            Its place in topic {one.topic} and what was put aside for it are deleted. If its function comes back, it
            begins as a new one.
          </p>
        </Confirmation>
      )}
    </>
  );
}

const SUBSCRIPTION_COLUMNS: readonly Column<Subscription>[] = [
  { id: "name", label: "Subscription", isWide: true, cell: (one) => <strong>{one.name}</strong> },
  { id: "topic", label: "Topic", cell: (one) => <a href={addressOf("topics", { topic: one.topic })}>{one.topic}</a> },
  { id: "state", label: "State", cell: (one) => <SubscriptionState one={one} /> },
  { id: "lag", label: "Behind", isNumber: true, cell: (one) => countText(one.lag) },
  {
    id: "oldest",
    label: "Oldest",
    isNumber: true,
    cell: (one) => (one.lag > 0 && one.oldest ? <Time at={one.oldest} /> : "–"),
  },
  { id: "retrying", label: "Tried again", isNumber: true, cell: (one) => countText(one.retrying ?? 0) },
  {
    id: "failed",
    label: "Put aside",
    isNumber: true,
    cell: (one) =>
      one.failed > 0 ? (
        <a href={addressOf("failed-deliveries", { source: "topic", name: one.topic })}>{countText(one.failed)}</a>
      ) : (
        "0"
      ),
  },
];

function SubscriptionState({ one }: { readonly one: Subscription }): JSX.Element {
  if (one.isServed === false) return <StatusBadge status="terminated">Not served</StatusBadge>;
  if (one.isFull) return <StatusBadge status="held">Full</StatusBadge>;
  if (one.lag > 0) return <StatusBadge status="running">Catching up</StatusBadge>;
  if (one.failed > 0) return <StatusBadge status="failed">Some put aside</StatusBadge>;
  return <StatusBadge status="completed">Up to date</StatusBadge>;
}
