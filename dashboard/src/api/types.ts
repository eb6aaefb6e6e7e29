/**
 * What the server sends, as `/openapi.json` describes it. Times are microseconds since 1970 UTC.
 *
 * A field that has its default is left out by the server, hence the many `?`. Payloads of instances are JSON as text.
 */

export type Microseconds = number;
export type Role = "read" | "operate" | "admin";

export interface Session {
  readonly needsKey: boolean;
  readonly role: Role | null;
  readonly expiresAt: Microseconds | null;
}

// --- instances

export type HoldReason = "crashed" | "decisions" | "guard" | "memory" | "not_served" | "payload" | "poison" | "storage";

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
  readonly isStuck?: boolean;
  readonly facts?: readonly Fact[];
  readonly at?: Microseconds;
}

/** One of many kinds, told apart by `type`: the table is in docs/http-api.md. */
export interface Fact {
  readonly type: string;
  readonly [field: string]: unknown;
}

// --- one instance: its run, its turns, its log, what it can be sent

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

/** As far as forms are made of it; what they do not know is edited as raw JSON. */
export interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly title?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly format?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly allOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, JsonSchema>>;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
}

export interface DeadLetter {
  readonly messageId: string;
  readonly instanceId: string;
  readonly reason: string;
  readonly createdAt: Microseconds;
  readonly message: unknown;
  readonly acknowledgedAt?: Microseconds | null;
}

// --- flow

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

// --- topics and queues

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

// --- functions

export interface ParameterInfo {
  readonly name: string;
  readonly required: boolean;
  readonly schema?: JsonSchema;
}

export interface FunctionInfo {
  readonly name: string;
  readonly parameters: readonly ParameterInfo[];
  readonly program: string;
  readonly version?: string | null;
}

export interface HttpFunctionInfo {
  readonly name: string;
  readonly methods: readonly string[];
  readonly path: string;
  readonly auth: string;
}

export interface TimerFunctionInfo {
  readonly name: string;
  readonly schedule: string;
  readonly zone: string | null;
  readonly runOnStartup: boolean;
}

export interface EventFunctionInfo {
  readonly name: string;
  readonly trigger: "topic" | "queue" | "files" | "blob" | "azureQueue" | "event";
  readonly source: string;
}

export interface Functions {
  readonly orchestrators: readonly FunctionInfo[];
  readonly activities: readonly FunctionInfo[];
  readonly httpRoutes: readonly HttpFunctionInfo[];
  readonly timers: readonly TimerFunctionInfo[];
  readonly eventFunctions: readonly EventFunctionInfo[];
}

export interface LastFailure {
  readonly instanceId: string;
  readonly at: Microseconds;
  readonly message: string;
}

export interface OrchestratorFigures {
  readonly name: string;
  readonly started: number;
  readonly completed: number;
  readonly failed: number;
  readonly terminated: number;
  readonly running: number;
  readonly meanSeconds: number | null;
  readonly slowestSeconds: number | null;
  readonly lastFailure: LastFailure | null;
}

export interface ActivityFigures {
  readonly name: string;
  readonly completed: number;
  readonly failed: number;
  readonly retried: number;
  readonly running: number;
  readonly queued: number;
  readonly meanSeconds: number | null;
  readonly slowestSeconds: number | null;
  readonly lastFailure: LastFailure | null;
}

export interface FunctionFigures {
  readonly since: Microseconds;
  readonly orchestrators: readonly OrchestratorFigures[];
  readonly activities: readonly ActivityFigures[];
  readonly eventFunctions: readonly ActivityFigures[];
}

// --- the hub and its hosts

export interface Overview {
  readonly at: Microseconds;
  readonly host: string;
  readonly version: string;
  readonly appVersion?: string | null;
  readonly since: Microseconds;
  readonly instances: {
    readonly pending: number;
    readonly running: number;
    readonly suspended: number;
    readonly held: Readonly<Partial<Record<HoldReason, number>>>;
    readonly isEstimate?: boolean;
  };
  readonly backlog: {
    readonly turns: number;
    readonly activities: number;
    readonly running: number;
    readonly oldestSeconds: number | null;
  };
  readonly series: Series;
  readonly failures: readonly {
    readonly instanceId: string;
    readonly name: string;
    readonly at: Microseconds;
    readonly message: string;
  }[];
  readonly workers: readonly {
    readonly program: string;
    readonly name: string;
    readonly state: string;
    readonly running: number;
    readonly pid?: number | null;
  }[];
  readonly health: { readonly ready: boolean; readonly reasons?: readonly string[]; readonly notes?: readonly string[] };
}

export interface Series {
  readonly stepSeconds: number;
  readonly from: Microseconds;
  readonly started: readonly number[];
  readonly completed: readonly number[];
  readonly failed: readonly number[];
  readonly activities: readonly number[];
  readonly activityFailures: readonly number[];
}

export interface HubHost {
  readonly host: string;
  readonly description: string;
  readonly address?: string | null;
  readonly appVersion?: string;
  readonly isNewest?: boolean;
  readonly isAlive?: boolean;
  readonly isLeaving?: boolean;
  readonly since?: Microseconds | null;
  readonly until?: Microseconds | null;
  readonly silentSeconds?: number | null;
  readonly partitions?: readonly number[];
  readonly load?: {
    readonly instances?: number;
    readonly activities?: number;
    readonly ready?: number;
    readonly waited?: number;
  } | null;
}

export interface HubHosts {
  readonly at: Microseconds;
  readonly partitions: number;
  readonly hosts: readonly HubHost[];
  readonly unserved: readonly {
    readonly partitions: readonly number[];
    readonly since?: Microseconds | null;
    readonly lastHost?: string;
  }[];
}

export interface Setting {
  readonly key: string;
  readonly value: unknown;
  readonly source: string | null;
}

export interface HostInfo {
  readonly version: string;
  readonly python: string;
  readonly storage: string;
  readonly startedAt: Microseconds;
  readonly uptimeSeconds: number;
  readonly settings: readonly Setting[];
}

// --- live updates

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

/** A link to another hub, as `/runtime/links` tells it. */
export interface HubLink {
  readonly name: string;
  readonly dials: boolean;
  readonly url: string | null;
  readonly received: number;
  readonly delivered: number;
  readonly waiting: number;
  readonly waitingBytes: number;
  readonly heldBytes: number;
  readonly heardAt: Microseconds | null;
  readonly problem: string | null;
}
