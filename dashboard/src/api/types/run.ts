/** One instance: its steps, its turns, its log, what it can be sent. */

import type { FailureDetails, Hold } from "./instances";
import type { JsonSchema } from "./schema";
import type { Microseconds } from "./session";

export type StepKind = "activity" | "orchestration" | "timer" | "event" | "question" | "message";
export type StepState = "running" | "waiting" | "retrying" | "completed" | "failed" | "canceled" | "unread";

export interface Attempt {
  readonly attempt: number;
  readonly begunAt: Microseconds;
  readonly endedAt?: Microseconds | null;
  readonly failure?: FailureDetails | null;
}

export interface Step {
  readonly number: number;
  readonly kind: StepKind;
  readonly name: string;
  readonly state: StepState;
  readonly begunAt: Microseconds;
  readonly changedAt: Microseconds;
  readonly endedAt?: Microseconds | null;
  readonly attempt?: number;
  readonly attempts?: readonly Attempt[];
  readonly dueAt?: Microseconds | null;
  readonly purpose?: string;
  readonly isExpired?: boolean;
  readonly failure?: FailureDetails | null;
  readonly instanceId?: string | null;
  readonly isDetached?: boolean;
  readonly request?: string;
  readonly url?: string | null;
  readonly place?: string;
  readonly key?: string | null;
  readonly call?: string;
  readonly turn?: number;
  readonly endedTurn?: number | null;
  readonly run?: Run | null;
}

export interface RunRecord {
  readonly instanceId: string;
  readonly name: string;
  readonly status: string;
  readonly createdAt: Microseconds;
  readonly updatedAt?: Microseconds;
  readonly completedAt?: Microseconds | null;
  readonly generation?: number;
  readonly executionId?: string;
  readonly version?: string | null;
  readonly tags?: Readonly<Record<string, string>> | null;
  readonly parentInstanceId?: string | null;
  readonly failure?: FailureDetails | null;
  readonly hold?: Hold | null;
  readonly customStatus?: string | null;
}

export interface Run {
  readonly record: RunRecord;
  readonly pauseReason?: string | null;
  readonly untaken?: number;
  readonly steps?: readonly Step[];
}

export interface TurnSummary {
  readonly turn: number;
  readonly at: Microseconds;
  readonly events: number;
  readonly summary: readonly string[];
}

export interface TurnsPage {
  readonly generation: number;
  readonly turns: readonly TurnSummary[];
}

export interface SourceLine {
  readonly line: number;
  readonly text: string;
}

export interface Variable {
  readonly name: string;
  readonly value: string;
  readonly type?: string;
}

export interface Frame {
  readonly function: string;
  readonly file: string;
  readonly line: number;
  readonly source?: readonly SourceLine[];
  /** Why there are no lines. */
  readonly noSource?: string | null;
  readonly variables?: readonly Variable[];
}

export interface Turn {
  readonly turn: number;
  readonly at: Microseconds;
  readonly generation?: number;
  readonly customStatus?: string | null;
  readonly arrived?: readonly string[];
  readonly decided?: readonly string[];
  readonly steps?: readonly Step[];
  readonly frames?: readonly Frame[] | null;
  readonly why?: string | null;
  /** The last turn that the code fits, when it does not fit this one. */
  readonly fitsThrough?: number | null;
  /** Other tasks that the code had started, and where they waited. */
  readonly tasks?: readonly { readonly name: string; readonly frames?: readonly Frame[] }[];
  readonly waits?: readonly { readonly kind: string; readonly name?: string | null; readonly number?: number | null }[];
}

export interface LogLine {
  readonly at: Microseconds;
  readonly level: string;
  readonly logger?: string;
  readonly message: string;
  readonly function?: string | null;
  readonly attempt?: number | null;
}

export interface InstanceLog {
  readonly lines: readonly LogLine[];
  readonly dropped?: number;
  readonly keptSince?: Microseconds | null;
  readonly host?: string | null;
  readonly address?: string | null;
}

export interface SendForm {
  readonly kind: "event" | "question";
  readonly name?: string | null;
  readonly number?: number | null;
  readonly title?: string | null;
  /** What is said below a question. */
  readonly text?: string | null;
  readonly schema?: JsonSchema | null;
  readonly choices?: readonly unknown[] | null;
  readonly url?: string | null;
}
