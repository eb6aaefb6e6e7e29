/** The list of instances: filters in the address, rows that stay where they are, actions on those that are chosen. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { refusal } from "../../api/session";
import { countText } from "../../formatting";
import { useKey } from "../../keys";
import { Button } from "../../parts/button";
import { ReadError } from "../../parts/read_error";
import { ViewHead } from "../../parts/view_head";
import { addressOf, go, route } from "../../router";
import { StartDialog } from "../start/start_dialog";
import { BulkBar } from "./bulk_bar";
import { filterOf, queryOf, type Filter } from "./filter";
import { FilterBar } from "./filter_bar";
import { InstanceTable } from "./instance_table";
import { listFor, type InstanceList } from "./list";
import { SavedViews } from "./saved_views";

export function InstancesView(): JSX.Element {
  const filter = filterOf(route.value.query);
  const key = JSON.stringify(queryOf(filter));
  const list = useMemo(() => listFor(key, filter), [key]);
  const chosen = useSignal<ReadonlySet<string>>(new Set());
  const isStarting = useSignal(false);
  useEffect(() => {
    chosen.value = new Set();
    list.start();
    return () => list.stop();
  }, [list]);
  const set = (changes: Partial<Filter>) =>
    go(addressOf("instances", queryOf({ ...filter, ...changes })), { replace: true });
  useKey("r", "Read the list anew", () => void list.readAnew());
  return (
    <>
      <ViewHead title="Instances">
        <Button kind="primary" refusal={refusal("operate")} onClick={() => (isStarting.value = true)}>
          Start<span class="long-only"> an orchestration</span>
        </Button>
      </ViewHead>
      <div class="row spread">
        <SavedViews />
        <NewRows list={list} />
      </div>
      <FilterBar filter={filter} onChange={set} />
      <ReadError of={list} isEmpty={list.beginnings.value === 0} />
      <div class="instances-place">
        <InstanceTable list={list} filter={filter} chosen={chosen} />
      </div>
      <BulkBar list={list} chosen={chosen} />
      {isStarting.value && <StartDialog onClose={() => (isStarting.value = false)} />}
    </>
  );
}

/** Says what would stand above, without moving anything. */
function NewRows({ list }: { readonly list: InstanceList }): JSX.Element {
  const count = `${countText(list.newCount.value)}${list.isMany.value ? "+" : ""} new`;
  const isStale = list.isStale.value;
  const isMore = list.newCount.value > 0;
  const stale = "Changes were missed: read anew";
  const text = isMore ? (isStale ? `${count}. ${stale}` : `${count}: show`) : isStale ? stale : null;
  return (
    <div class="new-rows" role="status">
      {text && (
        <button type="button" class="button primary small" onClick={() => void list.readAnew()}>
          {text}
        </button>
      )}
    </div>
  );
}
