/** The functions of a host, and how they have fared. */

import type { JsonSchema } from "./schema";
import type { Microseconds } from "./session";

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
  /** Null where that is not known. */
  readonly running: number | null;
  readonly queued: number | null;
  readonly meanSeconds: number | null;
  readonly slowestSeconds: number | null;
  readonly lastFailure: LastFailure | null;
}

export interface FunctionFigures {
  readonly since: Microseconds;
  readonly orchestrators: readonly OrchestratorFigures[];
  readonly activities: readonly ActivityFigures[];
  readonly timers?: readonly ActivityFigures[];
  readonly eventFunctions: readonly ActivityFigures[];
}
