/** What a person chose for this browser: theme, zone, saved views. Kept in localStorage where that is allowed. */

import { effect, signal, type Signal } from "@preact/signals";
import type { Zone } from "./formatting";

export type Theme = "system" | "light" | "dark";

export const theme = kept<Theme>("theme", "system", (value) => value === "light" || value === "dark");
export const zone = kept<Zone>("zone", "local", (value) => value === "utc");

/** A signal that is read from localStorage, and written there when it changes. */
export function kept<T>(name: string, start: T, isFitting: (value: unknown) => boolean): Signal<T> {
  const key = `tenuto.${name}`;
  const value = signal<T>(start);
  const stored = read(key);
  if (stored !== undefined && isFitting(stored)) value.value = stored as T;
  effect(() => write(key, value.value));
  return value;
}

function read(key: string): unknown {
  try {
    return JSON.parse(globalThis.localStorage?.getItem(key) ?? "null");
  } catch {
    // Storage may be forbidden, or hold what another program wrote: then the start value counts.
    return undefined;
  }
}

function write(key: string, value: unknown): void {
  try {
    globalThis.localStorage?.setItem(key, JSON.stringify(value));
  } catch {
    // Forbidden or full: the choice holds until the page is left.
  }
}

effect(() => {
  const chosen = theme.value;
  const root = globalThis.document?.documentElement;
  if (!root) return;
  if (chosen === "system") delete root.dataset["theme"];
  else root.dataset["theme"] = chosen;
});
