/** What functions have used up. */

export type UsageDimension = "day" | "app" | "function" | "tag";

/** Of all that the named dimensions have in common; one that is not told apart is null. */
export interface UsageLine {
  readonly day: string | null;
  readonly app: string | null;
  readonly function: string | null;
  readonly kind: "orchestrator" | "activity" | null;
  readonly tag: string | null;
  readonly executions: number;
  readonly runningMicroseconds: number;
  readonly processorMicroseconds: number;
  readonly waitingMicroseconds: number;
  readonly gigabyteSeconds: number;
  readonly operations: number;
  readonly bytes: number;
  readonly price: number | null;
}

export interface Usage {
  /** Days of UTC, such as 2026-11-01. */
  readonly from: string;
  readonly to: string;
  readonly by: readonly UsageDimension[];
  readonly lines: readonly UsageLine[];
  readonly total: UsageLine;
  readonly plan: string | null;
  readonly currency: string | null;
  /** The plans of the settings. */
  readonly plans: readonly string[];
}
