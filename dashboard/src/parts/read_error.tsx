/** Why something could not be read. While the host is away the frame says so; here only that nothing was read before. */

import type { JSX } from "preact";
import type { ReadonlySignal } from "@preact/signals";
import type { ApiError } from "../api/client";
import { ErrorNote } from "./error_note";

interface Read {
  readonly error: ReadonlySignal<ApiError | null>;
  readonly reload: () => void;
}

export interface ReadErrorProps {
  readonly of: Read;
  /** Whether nothing was read so far: then there is nothing to be seen, and that is to be said. */
  readonly isEmpty?: boolean;
}

export function ReadError({ of, isEmpty = false }: ReadErrorProps): JSX.Element | null {
  const error = of.error.value;
  if (error === null) return null;
  if (error.status !== 0) return <ErrorNote error={error} retry={of.reload} />;
  if (!isEmpty) return null;
  return (
    <p class="note" role="status">
      Nothing could be read yet: the host does not answer. What belongs here appears by itself when it is back.
    </p>
  );
}
