/** Navigation at the side; on a narrow screen below the bar, when its button is pressed. */

import type { JSX } from "preact";
import type { Overview } from "../api/types";
import { countText } from "../formatting";
import { addressOf, route } from "../router";
import { Brand, Icon } from "./icons";
import { NAVIGATION, type Entry } from "./navigation";

export interface SideProps {
  readonly overview: Overview | null;
  readonly isOpen: boolean;
}

export function Side({ overview, isOpen }: SideProps): JSX.Element {
  return (
    <aside class={`side ${isOpen ? "open" : ""}`} id="side" aria-label="Places and host">
      <a class="brand" href={addressOf("overview")}>
        <Brand /> Tenuto
      </a>
      <nav class="places" aria-label="Places">
        {NAVIGATION.map((group) => (
          <div key={group.label} class="places-group">
            <h2>{group.label}</h2>
            <ul>
              {group.entries.map((entry) => (
                <li key={entry.place}>
                  <PlaceLink entry={entry} overview={overview} />
                </li>
              ))}
            </ul>
          </div>
        ))}
      </nav>
      <div class="side-foot">
        {overview && (
          <>
            <p class="broken-anywhere">{overview.host}</p>
            <p>
              Tenuto {overview.version}
              {overview.appVersion ? `, app ${overview.appVersion}` : ""}
            </p>
          </>
        )}
      </div>
    </aside>
  );
}

function PlaceLink({ entry, overview }: { readonly entry: Entry; readonly overview: Overview | null }): JSX.Element {
  const view = route.value.view === "instance" ? "instances" : route.value.view;
  const count = overview && entry.count ? entry.count(overview) : 0;
  return (
    <a class="place" href={addressOf(entry.place)} aria-current={view === entry.place ? "page" : undefined}>
      <Icon name={entry.icon} />
      {entry.label}
      {count > 0 && <span class="place-count">{countText(count)}</span>}
    </a>
  );
}
