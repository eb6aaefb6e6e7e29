/** What stands around every view, and the view. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { get } from "../api/client";
import { watchHub } from "../api/live";
import { useResource } from "../api/resource";
import type { Overview } from "../api/types";
import { press } from "../keys";
import { Button } from "../parts/button";
import { route } from "../router";
import { AwayNotice } from "./connection_state";
import { Side } from "./side";
import { Top } from "./top";
import { View } from "./views";

const OFTEN = 2500;
const SELDOM = 10_000;

export function Frame(): JSX.Element {
  const isMenuOpen = useSignal(false);
  const main = useRef<HTMLElement>(null);
  const view = route.value.view;
  const overview = useResource("overview", () => get<Overview>("/admin/overview"), {
    every: view === "overview" ? OFTEN : SELDOM,
  });
  useEffect(() => {
    if (view === "overview" && overview.value.peek() !== null) overview.reload();
  }, [view]);
  useEffect(() => watchHub({}), []);
  useLayoutEffect(() => {
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, []);
  useFocusOnArrival(main, viewKey());
  useEffect(() => {
    isMenuOpen.value = false;
  }, [viewKey()]);
  return (
    <div class="frame">
      <div class="skip-button">
        <Button onClick={() => main.current?.focus()}>Skip to the content</Button>
      </div>
      <Side overview={overview.value.value} isOpen={isMenuOpen.value} />
      <div class="page-body">
        <Top isMenuOpen={isMenuOpen.value} onMenu={() => (isMenuOpen.value = !isMenuOpen.value)} />
        <AwayNotice />
        <main ref={main} tabIndex={-1} class={`view of-${view}`}>
          <View route={route.value} overview={overview} />
        </main>
      </div>
    </div>
  );
}

function viewKey(): string {
  const at = route.value;
  return at.view === "instance" ? `instance ${at.id}` : at.view;
}

/** Another view begins at its top, and its heading is what a screen reader reads next. */
function useFocusOnArrival(main: { readonly current: HTMLElement | null }, key: string): void {
  const isFirst = useRef(true);
  useEffect(() => {
    if (isFirst.current) {
      isFirst.current = false;
      return;
    }
    scrollTo(0, 0);
    main.current?.focus({ preventScroll: true });
  }, [key]);
}
