/** Why something could not be read. While the host is away nothing stands here: the frame says so for all views. */

import type { JSX } from "preact";
import type { ReadonlySignal } from "@preact/signals";
import type { ApiError } from "../api/client";
import { ErrorNote } from "./error_note";

interface Read {
  readonly error: ReadonlySignal<ApiError | null>;
  readonly reload: () => void;
}

export function ReadError({ of }: { readonly of: Read }): JSX.Element | null {
  const error = of.error.value;
  return error === null || error.status === 0 ? null : <ErrorNote error={error} retry={of.reload} />;
}
