/** What the page of one instance is made of: the API's types under one roof, and those that only it reads. */
import type { Fact as AnyFact, FailureDetails, Hold, Microseconds } from "../api/types";

export type {
  Attempt,
  FailureDetails,
  Flow,
  FlowItem,
  Frame,
  Hold,
  Instance,
  InstanceLog,
  JsonSchema,
  LogLine,
  Microseconds,
  Run,
  RunRecord,
  SendForm,
  Step,
  StepKind,
  StepState,
  Turn,
  TurnsPage,
  TurnSummary,
  Variable,
} from "../api/types";

/** One thing that an explanation is made of; which fields there are depends on its type. */
export interface Fact extends AnyFact {
  readonly name?: string;
  readonly instanceId?: string;
  readonly since?: Microseconds;
  readonly until?: Microseconds;
  readonly status?: string;
  readonly held?: string | Hold | null;
  readonly stage?: string;
  readonly attempt?: number;
  readonly failure?: FailureDetails | null;
  readonly address?: string;
  readonly host?: string;
  readonly below?: Below | null;
}

/** What keeps an instance below, some calls down. */
export interface Below {
  readonly instanceId: string;
  readonly name: string;
  readonly levels?: number;
  readonly fact: Fact;
}

/** An event of a history; which fields there are depends on its type. */
export interface HistoryEvent {
  readonly type: string;
  readonly timestamp?: Microseconds;
  readonly eventId?: number;
  readonly name?: string;
  readonly input?: string | null;
  readonly result?: string | null;
  readonly taskScheduledId?: number;
  readonly taskId?: number;
  readonly timerId?: number;
  readonly fireAt?: Microseconds;
  readonly failureDetails?: FailureDetails | null;
  readonly [other: string]: unknown;
}

/** What one step took in and brought out. */
export interface StepEvents {
  readonly number: number;
  readonly generation: number;
  readonly events: readonly { readonly turn: number; readonly at: Microseconds; readonly event: HistoryEvent }[];
}
