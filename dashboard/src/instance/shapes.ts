/** What the Admin API says of one instance, as docs/http-api.md has it. A field that has its default is left out. */

/** Since 1970 UTC. */
export type Microseconds = number;

export type StepKind = "activity" | "orchestration" | "timer" | "event" | "question" | "message";
export type StepState =
  | "running"
  | "waiting"
  | "retrying"
  | "completed"
  | "failed"
  | "canceled"
  | "unread";

export interface Failure {
  errorType: string;
  errorMessage: string;
  stackTrace?: string | null;
  innerFailure?: Failure | null;
  whileHandling?: boolean;
  isNonRetriable?: boolean;
  levels?: number;
  omitted?: number;
  notes?: string[];
  members?: Failure[];
}

/** One try of a call. */
export interface Attempt {
  attempt: number;
  begunAt: Microseconds;
  endedAt?: Microseconds | null;
  failure?: Failure | null;
}

/** One thing that an orchestrator did or waits for. */
export interface Step {
  number: number;
  kind: StepKind;
  name?: string;
  state: StepState;
  begunAt: Microseconds;
  changedAt: Microseconds;
  endedAt?: Microseconds | null;
  attempt?: number;
  attempts?: Attempt[];
  dueAt?: Microseconds | null;
  purpose?: "timer" | "retry" | "poll" | "timeout";
  isExpired?: boolean;
  failure?: Failure | null;
  instanceId?: string | null;
  isDetached?: boolean;
  request?: string;
  url?: string;
  place?: "" | "topic" | "queue";
  key?: string;
  call?: string;
  /** The turn of its decision, and the one that learned of its end. */
  turn?: number | null;
  endedTurn?: number | null;
  run?: Run | null;
}

export interface Hold {
  reason: string;
  message: string;
  since: Microseconds;
  tried?: Microseconds | null;
  recorded?: string | null;
  produced?: string | null;
}

export interface RunRecord {
  instanceId: string;
  name: string;
  status: string;
  createdAt: Microseconds;
  updatedAt: Microseconds;
  completedAt?: Microseconds | null;
  generation?: number;
  executionId: string;
  version?: string | null;
  tags?: Record<string, string> | null;
  parentInstanceId?: string | null;
  failure?: Failure | null;
  hold?: Hold | null;
  /** JSON as text. */
  customStatus?: string | null;
}

/** An instance and the steps of its current execution. */
export interface Run {
  record: RunRecord;
  pauseReason?: string;
  untaken?: number;
  steps: Step[];
}

/** One thing that an explanation is made of; which fields there are depends on its type. */
export interface Fact {
  type: string;
  name?: string;
  instanceId?: string;
  since?: Microseconds;
  until?: Microseconds;
  status?: string;
  held?: string | Hold | null;
  stage?: string;
  attempt?: number;
  failure?: Failure | null;
  address?: string;
  host?: string;
  below?: Below | null;
}

/** What keeps an instance below, some calls down. */
export interface Below {
  instanceId: string;
  name: string;
  levels?: number;
  fact: Fact;
}

export interface Explanation {
  sentence: string;
  advice?: string;
  isStuck?: boolean;
  facts: Fact[];
  at: Microseconds;
}

/** The row of an instance: payloads are JSON as text. */
export interface Instance {
  instanceId: string;
  name: string;
  executionId: string;
  createdAt: Microseconds;
  updatedAt?: Microseconds;
  completedAt?: Microseconds | null;
  scheduledAt?: Microseconds | null;
  rootId: string;
  status?: number;
  version?: string | null;
  generation?: number;
  parent?: { instanceId: string; name: string } | null;
  input?: string | null;
  output?: string | null;
  customStatus?: string | null;
  failure?: Failure | null;
  tags?: Record<string, string> | null;
  hold?: Hold | null;
  explanation?: Explanation | null;
}

/** An event of a history; which fields there are depends on its type. */
export interface HistoryEvent {
  type: string;
  timestamp?: Microseconds;
  eventId?: number;
  name?: string;
  input?: string | null;
  result?: string | null;
  taskScheduledId?: number;
  taskId?: number;
  timerId?: number;
  fireAt?: Microseconds;
  failureDetails?: Failure | null;
  [other: string]: unknown;
}

export interface TurnSummary {
  turn: number;
  at: Microseconds;
  events: number;
  summary: string[];
}

export interface Variable {
  name: string;
  value: string;
  type: string;
}

/** A function that was being run, with its lines around the one where it waited. */
export interface Frame {
  function: string;
  file: string;
  line: number;
  source: { line: number; text: string }[];
  variables: Variable[];
}

/** What the orchestrator knew after one of its turns. */
export interface TurnView {
  turn: number;
  at: Microseconds;
  generation?: number;
  customStatus?: string | null;
  arrived?: string[];
  decided?: string[];
  steps?: Step[];
  frames?: Frame[] | null;
  why?: string | null;
  waits?: { kind: string; name?: string; number?: number }[];
}

/** What people can send an instance now. */
export interface SendForm {
  kind: "event" | "question";
  name: string;
  number?: number | null;
  title?: string | null;
  schema?: JsonSchema | null;
  choices?: unknown[] | null;
  url?: string | null;
}

export interface JsonSchema {
  type?: string | string[];
  title?: string;
  description?: string;
  format?: string;
  enum?: unknown[];
  const?: unknown;
  default?: unknown;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  allOf?: JsonSchema[];
  $ref?: string;
  $defs?: Record<string, JsonSchema>;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
}

export interface LogLine {
  at: Microseconds;
  level: string;
  logger: string;
  message: string;
  function?: string | null;
  attempt?: number | null;
}

export interface LogPage {
  lines: LogLine[];
  dropped?: number;
  keptSince?: Microseconds;
  host?: string | null;
  address?: string | null;
}

export interface FlowItem {
  ref: string;
  kind: "event" | "message" | "file" | "instance" | "failed";
  name: string;
  id: string;
  cause?: string | null;
  at?: Microseconds | null;
  endedAt?: Microseconds | null;
  status?: string | null;
  key?: string | null;
  error?: string | null;
  hub?: string | null;
  isGone?: boolean;
}

export interface Flow {
  asked: string;
  root: string;
  items: FlowItem[];
  isCut?: boolean;
}
