/** Why instances are held, in words: see "Held instances" in docs/operations.md. */

import type { HoldReason, InstanceRecord, Overview } from "./api/types";

interface Words {
  readonly short: string;
  readonly advice: string;
}

export const HOLD_REASONS: Readonly<Record<HoldReason, Words>> = {
  decisions: {
    short: "the code decides otherwise than its history says",
    advice:
      "Deploy code that decides as before (or guards the change by version), then try again. Or fail or restart it.",
  },
  not_served: {
    short: "its function is not there",
    advice: "Start a host whose app has this function: it is tried again at each start.",
  },
  guard: {
    short: "the code does in replay what cannot be replayed",
    advice: "Move what the message names into an activity, deploy, and try again.",
  },
  payload: {
    short: "stored data do not fit the type of the code",
    advice: "Deploy a type that takes the stored data too, and try again.",
  },
  poison: {
    short: "its turn failed twice for no reason that is known",
    advice: "The host's log has both errors. Try again, or fail it.",
  },
  crashed: {
    short: "it has ended the process of its host several times",
    advice: "Only you can have it tried again: the process may end once more.",
  },
  memory: {
    short: "memory ran out, and it took most of it",
    advice: "Only you can have it tried again: give the host more memory first.",
  },
  storage: {
    short: "the store cannot hold what it decided",
    advice: "Only you can have it tried again: look at its payloads and at the store first.",
  },
  budget: {
    short: "it has used what it may",
    advice: "Start a host with a larger budget, then it goes on. One for the day begins again at midnight, UTC.",
  },
};

/** Why an instance is held, in words. */
export function holdText(reason: string): string {
  return HOLD_REASONS[reason as HoldReason]?.short ?? reason;
}

export interface Cause<T> {
  readonly reason: HoldReason;
  /** The orchestrator. */
  readonly name: string;
  readonly records: readonly T[];
}

/** Held instances by what keeps them, the most common cause first. */
export function byCause<T extends Pick<InstanceRecord, "name" | "hold">>(records: readonly T[]): readonly Cause<T>[] {
  const found = new Map<string, Cause<T> & { readonly records: T[] }>();
  for (const record of records) {
    if (!record.hold) continue;
    const { reason } = record.hold;
    const key = `${reason} ${record.name}`;
    const cause = found.get(key) ?? { reason, name: record.name, records: [] };
    cause.records.push(record);
    found.set(key, cause);
  }
  return [...found.values()].sort((one, other) => other.records.length - one.records.length);
}

/** How many instances are held, for whatever reason. */
export function heldCount(overview: Overview): number {
  return Object.values(overview.instances?.held ?? {}).reduce((sum, count) => sum + count, 0);
}
