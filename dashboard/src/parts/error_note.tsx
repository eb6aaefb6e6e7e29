/** Why something could not be read or done, with its stable code. */

import type { JSX } from "preact";
import type { ApiError } from "../api/client";
import { Button } from "./button";

export function ErrorNote({ error, retry }: { readonly error: ApiError; readonly retry?: () => void }): JSX.Element {
  return (
    <div class="note bad" role="alert">
      <span class="note-sign" aria-hidden="true">
        ✕
      </span>
      <p>
        {sentence(error.message)} {error.code.startsWith("TN-") && <code class="code-tag">{error.code}</code>}
      </p>
      {retry && (
        <Button size="small" onClick={retry}>
          Try again
        </Button>
      )}
    </div>
  );
}

/** The API's messages begin small, for they follow a name in the command line. */
function sentence(text: string): string {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}
