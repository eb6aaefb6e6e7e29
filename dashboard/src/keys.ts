/**
 * Keys that do something wherever the focus is. Views announce theirs, and the help lists what there is.
 *
 * Single keys can be switched off, as people who speak their input need it (WCAG 2.1.4).
 */

import { signal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { kept } from "./preferences";

export interface Key {
  /** As `KeyboardEvent.key` has it. */
  readonly key: string;
  readonly does: string;
  readonly action: () => void;
}

export const areKeysOn = kept<boolean>("keys", true, (value) => typeof value === "boolean");

/** The keys that work now. */
export const keys = signal<readonly Key[]>([]);

/** Lets a key do something while the component is there. */
export function useKey(key: string, does: string, action: () => void): void {
  const latest = useRef(action);
  latest.current = action;
  // With the picture: what is seen can be used.
  useLayoutEffect(() => {
    const entry: Key = { key, does, action: () => latest.current() };
    keys.value = [...keys.peek(), entry];
    return () => {
      keys.value = keys.peek().filter((one) => one !== entry);
    };
  }, [key, does]);
}

/** Hands a key that was pressed to whoever announced it last. */
export function press(event: KeyboardEvent): void {
  if (!areKeysOn.value || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
  const entry = keys.value.findLast((one) => one.key === event.key);
  if (!entry) return;
  event.preventDefault();
  entry.action();
}

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName))
  );
}
