/** What can be done to an instance, who may, and in which states it makes sense. Pure but for the role. */

import type { Role } from "../../api/types";
import { isFinished, statusOf } from "../../statuses";
import type { Instance } from "../shapes";

export type ActionKind = "answer" | "raise-event" | "suspend" | "resume" | "terminate" | "fail" | "restart" | "purge";

export interface Action {
  readonly label: string;
  readonly role: Role;
  readonly isDangerous: boolean;
  /** Why the state of the instance does not allow it; null when it does. */
  readonly unfit: (row: Instance) => string | null;
}

const going = (row: Instance): string | null => (isFinished(statusOf(row)) ? `It has ended (${statusOf(row)}).` : null);

export const ACTIONS: Readonly<Record<ActionKind, Action>> = {
  answer: { label: "Answer", role: "operate", isDangerous: false, unfit: going },
  "raise-event": { label: "Raise event", role: "operate", isDangerous: false, unfit: going },
  suspend: {
    label: "Suspend",
    role: "operate",
    isDangerous: false,
    unfit: (row) => going(row) ?? (statusOf(row) === "Suspended" ? "It is suspended already." : null),
  },
  resume: {
    label: "Resume",
    role: "operate",
    isDangerous: false,
    unfit: (row) =>
      going(row) ?? (statusOf(row) === "Suspended" || row.hold ? null : "It is neither suspended nor held."),
  },
  terminate: { label: "Terminate", role: "operate", isDangerous: true, unfit: going },
  fail: { label: "Fail", role: "operate", isDangerous: true, unfit: going },
  restart: { label: "Restart", role: "operate", isDangerous: false, unfit: () => null },
  purge: { label: "Purge", role: "admin", isDangerous: true, unfit: () => null },
};

/** Those that stand beside each other, and those behind "More". */
export function arranged(
  row: Instance,
  hasQuestion: boolean,
): { readonly shown: ActionKind[]; readonly more: ActionKind[] } {
  if (isFinished(statusOf(row))) {
    return { shown: ["restart", "purge"], more: ["raise-event", "suspend", "resume", "terminate", "fail"] };
  }
  const isPaused = statusOf(row) === "Suspended" || row.hold != null;
  const shown: ActionKind[] = [
    ...(hasQuestion ? (["answer"] as const) : []),
    "raise-event",
    isPaused ? "resume" : "suspend",
    "terminate",
  ];
  const all = Object.keys(ACTIONS) as ActionKind[];
  return { shown, more: all.filter((kind) => kind !== "answer" && !shown.includes(kind)) };
}
