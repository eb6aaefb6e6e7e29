/** Who is signed in, and what they may do. The key itself is never kept: the host gives a cookie for it. */

import { computed, signal } from "@preact/signals";
import { get, onUnauthorized, request, type Result } from "./client";
import type { Role, Session } from "./types";

const RANKS: Readonly<Record<Role, number>> = { read: 0, operate: 1, admin: 2 };

/** Null until the host was asked. */
export const session = signal<Session | null>(null);

/** True while there was a session that the host does not accept any more. */
export const hasExpired = signal(false);

export const isSignedIn = computed(() => session.value !== null && session.value.role !== null);

onUnauthorized.call = () => {
  if (session.value?.role == null) return;
  hasExpired.value = true;
  session.value = { needsKey: true, role: null, expiresAt: null };
};

export async function loadSession(): Promise<Result<Session>> {
  const answer = await get<Session>("/session");
  if (answer.ok) session.value = answer.value;
  return answer;
}

/** Signs in. What is wrong with the key is in the error. */
export async function signIn(key: string): Promise<Result<void>> {
  const answer = await request<void>("POST", "/session", { body: { key } });
  if (answer.ok) {
    // In this order: a session that has expired and is not there again is one that was left.
    await loadSession();
    hasExpired.value = false;
  }
  return answer;
}

export async function signOut(): Promise<void> {
  await request<void>("DELETE", "/session");
  await loadSession();
  // Last: whoever asked for something meanwhile was told that there is no session.
  hasExpired.value = false;
}

/** Why an action that needs a role cannot be taken now; null when it can. For `disabled` and its reason. */
export function refusal(needed: Role): string | null {
  const role = session.value?.role;
  if (role && RANKS[role] >= RANKS[needed]) return null;
  return `Your key may ${MAY[role ?? "read"]}; this needs one with the role ${needed}.`;
}

const MAY: Readonly<Record<Role, string>> = {
  read: "only read",
  operate: "read and operate",
  admin: "do everything",
};
