/** Asks for the next page of a list. */

import type { JSX } from "preact";
import type { Paged } from "./paged";
import { Button } from "../parts/button";

export function MoreButton<T>({ list }: { readonly list: Paged<T> }): JSX.Element | null {
  if (!list.hasMore.value) return null;
  return (
    <div class="more">
      <Button isBusy={list.isLoading.value} onClick={list.more}>
        Show more
      </Button>
    </div>
  );
}
