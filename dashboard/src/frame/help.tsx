/** The keys that work here, and where to read on. */

import type { JSX } from "preact";
import { areKeysOn, keys } from "../keys";
import { Dialog } from "../parts/dialog";
import { KeyHint } from "../parts/key_hint";

export function Help({ onClose }: { readonly onClose: () => void }): JSX.Element {
  return (
    <Dialog title="Keys" onClose={onClose}>
      <dl class="facts help-keys">
        {byAction().map(([does, pressed]) => (
          <HelpLine key={does} keys={pressed} does={does} />
        ))}
        <HelpLine keys={["Tab"]} does="Go from one control to the next" />
        <HelpLine keys={["↑ ↓"]} does="Go from row to row in a long list" />
        <HelpLine keys={["Esc"]} does="Close what is open" />
      </dl>
      <label class="check">
        <input
          type="checkbox"
          checked={areKeysOn.value}
          onChange={(event) => (areKeysOn.value = event.currentTarget.checked)}
        />
        Single keys do something
      </label>
      <p class="quiet-text small-text">
        Everything here can also be done with <code>tenuto instances</code>, and over HTTP: the host describes its API
        at <code>/openapi.json</code>.
      </p>
    </Dialog>
  );
}

function HelpLine({ keys: pressed, does }: { readonly keys: readonly string[]; readonly does: string }): JSX.Element {
  return (
    <>
      <dt>
        <KeyHint keys={pressed.join(" ")} />
      </dt>
      <dd>{does}</dd>
    </>
  );
}

function byAction(): readonly (readonly [string, readonly string[]])[] {
  const found = new Map<string, string[]>();
  for (const { key, does } of keys.value) found.set(does, [...(found.get(does) ?? []), key]);
  return [...found];
}
