/** Topics, queues, what was put aside, and the flow that goes through them. */

import type { Microseconds } from "./session";

export interface FlowItem {
  readonly ref: string;
  readonly kind: "event" | "failed" | "file" | "instance" | "message";
  readonly name: string;
  readonly id: string;
  readonly cause?: string | null;
  readonly at?: Microseconds | null;
  readonly endedAt?: Microseconds | null;
  readonly status?: string | null;
  readonly key?: string | null;
  readonly type?: string | null;
  readonly attempts?: number | null;
  readonly error?: string | null;
  readonly hub?: string | null;
  readonly isGone?: boolean;
}

export interface Flow {
  readonly asked: string;
  readonly root: string;
  readonly items: readonly FlowItem[];
  readonly isCut?: boolean;
}

export interface TopicStanding {
  readonly name: string;
  readonly events: number;
  readonly bytes: number;
  readonly first: Microseconds;
  readonly last: Microseconds;
}

export interface TopicEvent {
  readonly position: number;
  readonly id: string;
  readonly topic: string;
  readonly publishedAt: Microseconds;
  readonly data?: unknown;
  readonly key?: string | null;
  readonly type?: string | null;
  readonly source?: string | null;
  readonly subject?: string | null;
  readonly attributes?: Readonly<Record<string, string>> | null;
  readonly cause?: string | null;
}

export interface Subscription {
  readonly name: string;
  readonly topic: string;
  readonly position: number;
  readonly lag: number;
  readonly oldest: Microseconds | null;
  readonly failed: number;
  readonly updatedAt: Microseconds;
  readonly givenBack?: number;
  readonly retrying?: number;
  readonly isFull?: boolean;
  readonly isServed?: boolean;
}

export interface QueueStanding {
  readonly name: string;
  readonly ready: number;
  readonly delayed: number;
  readonly inWork: number;
  readonly failed: number;
  readonly oldest: Microseconds | null;
}

export interface QueueMessage {
  readonly id: string;
  readonly queuedAt: Microseconds;
  readonly visibleAt: Microseconds | null;
  readonly attempts: number;
  readonly cause: string | null;
  readonly data: unknown;
}

export interface FailedDelivery {
  readonly number: number;
  readonly source: string;
  readonly name: string;
  readonly function: string;
  readonly messageId: string;
  readonly attempts: number;
  readonly failedAt: Microseconds;
  readonly error: string;
  readonly cause: string | null;
  readonly key: string | null;
  readonly content: unknown;
  readonly cameAt: Microseconds | null;
}

export interface Redriven {
  readonly count: number;
  readonly left: readonly number[];
}
