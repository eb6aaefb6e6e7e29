/** What tells an instance from the next one under its id: when it was created. One that continues as new keeps that. */

/** Whether these are two; in microseconds, of which live updates tell no more than milliseconds. */
export function areApart(createdAt: number, other: number): boolean {
  return Math.abs(createdAt - other) >= 1_000;
}
