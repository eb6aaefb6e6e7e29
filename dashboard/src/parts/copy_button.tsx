/** Copies a text, and says that it did. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { Button } from "./button";

const SAID_FOR = 1500;

export function CopyButton({
  text,
  label = "Copy",
}: {
  readonly text: string | (() => string);
  readonly label?: string;
}): JSX.Element {
  const said = useSignal<string | null>(null);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(typeof text === "string" ? text : text());
      said.value = "Copied";
    } catch {
      // Browsers give the clipboard only to pages over https or of this machine.
      said.value = "Not allowed";
    }
    setTimeout(() => (said.value = null), SAID_FOR);
  };
  return (
    <Button kind="quiet" size="small" onClick={() => void copy()}>
      <span aria-live="polite">{said.value ?? label}</span>
    </Button>
  );
}
