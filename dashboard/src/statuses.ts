/** Statuses of instances: the API's numbers, their names, and the sign each is known by without colour. */

export type Status =
  "Pending" | "Running" | "Suspended" | "Completed" | "Failed" | "Terminated" | "Canceled" | "ContinuedAsNew";

/** The statuses that one can look for, in the order in which an instance lives them. */
export const SHOWN_STATUSES = ["Pending", "Running", "Suspended", "Completed", "Failed", "Terminated"] as const;

const BY_NUMBER: Readonly<Record<number, Status>> = {
  0: "Running",
  1: "Completed",
  2: "ContinuedAsNew",
  3: "Failed",
  4: "Canceled",
  5: "Terminated",
  6: "Pending",
  7: "Suspended",
};

const PENDING = 6;
const FINISHED: ReadonlySet<Status> = new Set<Status>(["Completed", "Failed", "Terminated", "Canceled"]);

/** The status of a record: its number, left out when it is Pending. */
export function statusOf(record: { readonly status?: number }): Status {
  return BY_NUMBER[record.status ?? PENDING] ?? "Pending";
}

/** What a person sees an instance to be: whatever its status, a held one is held. */
export function standingOf(record: { readonly status?: number; readonly hold?: object | null }): Status | "held" {
  return record.hold ? "held" : statusOf(record);
}

/** True when nothing will happen any more. */
export function isFinished(status: Status): boolean {
  return FINISHED.has(status);
}
