/** What the bars and signs mean. */
import type { ComponentChildren, JSX } from "preact";

export function Legend(): JSX.Element {
  return (
    <ul class="tl-legend" aria-label="Legend">
      <Entry word="completed">
        <rect x="1" y="3" width="20" height="10" rx="3" class="tl-bar completed" />
      </Entry>
      <Entry word="running">
        <rect x="1" y="3" width="20" height="10" rx="3" class="tl-bar running" />
      </Entry>
      <Entry word="failed">
        <rect x="1" y="3" width="20" height="10" rx="3" class="tl-bar failed" />
      </Entry>
      <Entry word="waiting">
        <rect x="1" y="5" width="20" height="6" rx="2" class="tl-bar wait running" />
      </Entry>
      <Entry word="retry pause">
        <line x1="1" x2="21" y1="8" y2="8" class="tl-pause" />
      </Entry>
      <Entry word="due">
        <path d="M7 15v-14h8l-2 3.5l2 3.5h-8" class="tl-due" />
      </Entry>
      <Entry word="arrived">
        <circle cx="11" cy="8" r="4.5" class="tl-arrived" />
      </Entry>
      <Entry word="sent">
        <path d="M11 2.5l5.5 5.5l-5.5 5.5l-5.5-5.5z" class="tl-sent" />
      </Entry>
    </ul>
  );
}

function Entry({ word, children }: { readonly word: string; readonly children: ComponentChildren }): JSX.Element {
  return (
    <li>
      <svg width="22" height="16" aria-hidden="true" focusable="false">
        {children}
      </svg>
      {word}
    </li>
  );
}
