/**
 * Whether the host answers, and whether its live updates arrive.
 *
 * While it does not, `/healthz/live` is asked again and again; the first answer wakes all views up (`returns`).
 */

import { computed, signal } from "@preact/signals";
import { prefix } from "./prefix";

export type Connection =
  | { readonly state: "connecting" }
  | { readonly state: "live" }
  | { readonly state: "asking" }
  | { readonly state: "reconnecting" }
  | { readonly state: "away"; readonly since: number };

const awaySince = signal<number | null>(null);
/** How it stands with a stream of live updates; `shared` when other windows hold all that there can be. */
export type StreamState = "open" | "broken" | "shared";

const stream = signal<StreamState | "none">("none");
const hasAnswered = signal(false);

/** Grows each time the host has come back: what shows its data reads it anew. */
export const returns = signal(0);

export const connection = computed<Connection>(() => {
  if (awaySince.value !== null) return { state: "away", since: awaySince.value };
  if (stream.value === "broken") return { state: "reconnecting" };
  if (stream.value === "shared" && hasAnswered.value) return { state: "asking" };
  if (stream.value === "open" || hasAnswered.value) return { state: "live" };
  return { state: "connecting" };
});

/** An answer came. */
export function heard(): void {
  hasAnswered.value = true;
  if (awaySince.value === null) return;
  awaySince.value = null;
  returns.value += 1;
}

/** No answer came: the host is away until one does. */
export function unheard(): void {
  if (awaySince.value !== null) return;
  awaySince.value = Date.now() * 1000;
  askAgain(0);
}

/** How the stream of live updates of the hub stands. */
export function streamIs(state: StreamState | "none"): void {
  stream.value = state;
  if (state === "broken") void lookAgain();
}

/** A stream breaks for reasons of its own, too: whether the host is there is asked at once, not at the next request. */
async function lookAgain(): Promise<void> {
  if (awaySince.value === null && !(await answers())) unheard();
}

const PAUSES = [500, 1000, 2000, 3000];

function askAgain(tries: number): void {
  const pause = PAUSES[Math.min(tries, PAUSES.length - 1)];
  setTimeout(async () => {
    if (awaySince.value === null) return;
    if (await answers()) heard();
    else askAgain(tries + 1);
  }, pause);
}

async function answers(): Promise<boolean> {
  try {
    await fetch(`${prefix}/healthz/live`, { cache: "no-store", credentials: "same-origin" });
    return true;
  } catch {
    // No answer: that is what was asked.
    return false;
  }
}
