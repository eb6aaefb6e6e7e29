/** Why something could not be read or done, with its stable code. */

import type { JSX } from "preact";
import type { ApiError } from "../api/client";
import { sentence } from "../formatting";
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
