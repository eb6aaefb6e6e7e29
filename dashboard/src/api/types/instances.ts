/** Instances as lists and the page of one have them. Payloads are JSON as text. */

import type { Microseconds } from "./session";

export type HoldReason =
  "budget" | "crashed" | "decisions" | "guard" | "memory" | "not_served" | "payload" | "poison" | "storage";

export interface Hold {
  readonly reason: HoldReason;
  readonly message: string;
  readonly since: Microseconds;
  readonly recorded?: string | null;
  readonly produced?: string | null;
  readonly tried?: Microseconds | null;
}

export interface FailureDetails {
  readonly errorType: string;
  readonly errorMessage: string;
  readonly stackTrace?: string | null;
  readonly innerFailure?: FailureDetails | null;
  readonly isNonRetriable?: boolean;
  readonly bases?: readonly string[];
  readonly properties?: Readonly<Record<string, unknown>> | null;
  readonly levels?: number;
  readonly omitted?: number;
  readonly whileHandling?: boolean;
  readonly notes?: readonly string[];
  readonly members?: readonly FailureDetails[];
}

export interface ParentInstance {
  readonly instanceId: string;
  readonly executionId: string;
  readonly name: string;
  readonly taskScheduledId: number;
}

export interface InstanceRecord {
  readonly iid: number;
  readonly instanceId: string;
  readonly partition: number;
  readonly name: string;
  readonly executionId: string;
  readonly createdAt: Microseconds;
  readonly rootId: string;
  readonly version?: string | null;
  readonly generation?: number;
  readonly status?: number;
  readonly wakeAt?: Microseconds | null;
  readonly updatedAt?: Microseconds;
  readonly completedAt?: Microseconds | null;
  readonly scheduledAt?: Microseconds | null;
  readonly parent?: ParentInstance | null;
  readonly depth?: number;
  readonly input?: string | null;
  readonly output?: string | null;
  readonly failure?: FailureDetails | null;
  readonly customStatus?: string | null;
  readonly tags?: Readonly<Record<string, string>> | null;
  readonly trace?: { readonly parent: string; readonly state?: string | null } | null;
  readonly hold?: Hold | null;
  readonly deliveries?: number;
}

export interface InstancePage {
  readonly records: readonly InstanceRecord[];
  readonly after: string | null;
}

export interface Instance extends InstanceRecord {
  readonly waitingFor?: readonly Wait[];
  readonly explanation?: Explanation | null;
}

export interface Wait {
  readonly kind: "activity" | "event" | "orchestration" | "question" | "timer" | "topic";
  readonly name?: string | null;
  readonly key?: string | null;
  readonly since: Microseconds;
  readonly until?: Microseconds | null;
  readonly attempt?: number;
  readonly instanceId?: string | null;
  readonly purpose?: "poll" | "retry" | "timeout" | "timer";
  readonly url?: string | null;
}

export interface Explanation {
  readonly sentence: string;
  readonly advice?: string;
  /** Those that stand in the advice. */
  readonly commands?: readonly string[];
  readonly isStuck?: boolean;
  readonly facts?: readonly Fact[];
  readonly at?: Microseconds;
}

/** One of many kinds, told apart by `type`: the table is in docs/http-api.md. */
export interface Fact {
  readonly type: string;
  readonly [field: string]: unknown;
}

export interface DeadLetter {
  readonly messageId: string;
  readonly instanceId: string;
  readonly reason: string;
  readonly createdAt: Microseconds;
  readonly message: unknown;
  readonly acknowledgedAt?: Microseconds | null;
}

/** One committed turn of an instance, or its state after a reset. */
export interface Update {
  readonly instanceId: string;
  readonly generation: number;
  readonly turn: number;
  readonly ended: boolean;
  readonly purged: boolean;
  readonly name: string;
  readonly runtimeStatus: string;
  readonly customStatus: unknown;
  readonly createdTime: string;
  readonly lastUpdatedTime: string;
  readonly failure?: FailureDetails | null;
  readonly hold?: Hold | null;
}

/** How many instances have changed since the digest before; who has changed several times counts several times. */
export interface Digest {
  readonly changed: number;
  readonly ended: number;
  readonly failed: number;
  readonly held: number;
  readonly purged: number;
  /** Something may have changed at other hosts, too. */
  readonly elsewhere: boolean;
}
