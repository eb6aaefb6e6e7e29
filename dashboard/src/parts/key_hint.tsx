/** The name of a key, as help and tooltips show it. */

import type { JSX } from "preact";

export function KeyHint({ keys }: { readonly keys: string }): JSX.Element {
  return (
    <span class="keys">
      {keys.split(" ").map((key) => (
        <kbd key={key}>{key}</kbd>
      ))}
    </span>
  );
}
