/** Topics with what lags behind them, and queues. */

import type { JSX } from "preact";
import type { QueueStanding, Subscription } from "../../api/types";
import { countText } from "../../formatting";
import { Table, type Column } from "../../parts/table";
import { Time } from "../../parts/time";
import { addressOf } from "../../router";

interface Line {
  readonly id: string;
  readonly address: string;
  readonly name: string;
  readonly kind: string;
  readonly behind: number;
  readonly oldest: number | null;
  readonly failed: number;
}

export interface MessagesProps {
  readonly queues: readonly QueueStanding[] | null;
  readonly subscriptions: readonly Subscription[] | null;
}

export function MessagesCard({ queues, subscriptions }: MessagesProps): JSX.Element | null {
  const lines = [...(subscriptions ?? []).map(ofSubscription), ...(queues ?? []).map(ofQueue)];
  if (lines.length === 0) return null;
  lines.sort((one, other) => other.behind - one.behind || one.name.localeCompare(other.name));
  return (
    <section class="card" aria-labelledby="messages-head">
      <header class="card-head">
        <h2 id="messages-head">Topics and queues</h2>
        <a href={addressOf("topics")}>All topics</a>
      </header>
      <Table label="Topics and queues" columns={COLUMNS} rows={lines.slice(0, 10)} keyOf={(line) => line.id} />
    </section>
  );
}

const COLUMNS: readonly Column<Line>[] = [
  {
    id: "name",
    label: "Reader",
    isWide: true,
    cell: (line) => (
      <span class="line-text">
        <a href={line.address}>{line.name}</a>
        <span class="quiet-text small-text">{line.kind}</span>
      </span>
    ),
  },
  { id: "behind", label: "Behind", isNumber: true, cell: (line) => countText(line.behind) },
  {
    id: "oldest",
    label: "Oldest",
    isNumber: true,
    cell: (line) => (line.behind > 0 && line.oldest ? <Time at={line.oldest} /> : "–"),
  },
  { id: "failed", label: "Put aside", isNumber: true, cell: (line) => countText(line.failed) },
];

function ofSubscription(one: Subscription): Line {
  const address = addressOf("topics", { topic: one.topic });
  const { name, lag: behind, oldest, failed } = one;
  return { id: `topic ${name} ${one.topic}`, address, name, kind: `topic ${one.topic}`, behind, oldest, failed };
}

function ofQueue(one: QueueStanding): Line {
  const address = addressOf("queues", { queue: one.name });
  return {
    id: `queue ${one.name}`,
    address,
    name: one.name,
    kind: "queue",
    behind: one.ready,
    oldest: one.oldest,
    failed: one.failed,
  };
}
