/** Tabs as links: each has an address. Arrow keys move between them, as the pattern of WAI-ARIA says. */

import type { JSX } from "preact";
import { countText } from "../formatting";
import { go } from "../router";

export interface Tab {
  readonly id: string;
  readonly label: string;
  readonly address: string;
  readonly count?: number;
}

export interface TabsProps {
  readonly label: string;
  readonly tabs: readonly Tab[];
  readonly chosen: string;
  /** The id of the element that the tabs show. */
  readonly panel: string;
}

export function Tabs({ label, tabs, chosen, panel }: TabsProps): JSX.Element {
  const move = (event: KeyboardEvent) => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (step === 0) return;
    const at = tabs.findIndex((tab) => tab.id === chosen);
    const next = tabs[(at + step + tabs.length) % tabs.length];
    if (!next) return;
    event.preventDefault();
    go(next.address, { replace: true });
    const list = event.currentTarget as HTMLElement;
    requestAnimationFrame(() => list.querySelector<HTMLElement>('[aria-selected="true"]')?.focus());
  };
  return (
    <div class="tabs" role="tablist" aria-label={label} onKeyDown={move}>
      {tabs.map((tab) => (
        <a
          key={tab.id}
          role="tab"
          id={`tab-${tab.id}`}
          href={tab.address}
          aria-selected={tab.id === chosen}
          aria-controls={panel}
          tabIndex={tab.id === chosen ? 0 : -1}
          class="tab"
        >
          {tab.label}
          {tab.count !== undefined && <span class="tab-count">{countText(tab.count)}</span>}
        </a>
      ))}
    </div>
  );
}
