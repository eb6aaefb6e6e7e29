/** Who looks, and what they may do. */

export type Microseconds = number;
export type Role = "read" | "operate" | "admin";

export interface Session {
  readonly needsKey: boolean;
  readonly role: Role | null;
  readonly expiresAt: Microseconds | null;
}
