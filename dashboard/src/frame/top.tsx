/** The bar above every view: go to an instance, the connection, the person's choices. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { session, signOut } from "../api/session";
import { useKey } from "../keys";
import { theme, zone, type Theme } from "../preferences";
import { addressOf } from "../router";
import { ConnectionState } from "./connection_state";
import { GoTo } from "./go_to";
import { Help } from "./help";
import { Brand, Icon, type IconName } from "./icons";

export interface TopProps {
  readonly isMenuOpen: boolean;
  readonly onMenu: () => void;
}

export function Top({ isMenuOpen, onMenu }: TopProps): JSX.Element {
  const isHelpOpen = useSignal(false);
  useKey("?", "Show this help", () => (isHelpOpen.value = true));
  return (
    <header class="top">
      <button
        type="button"
        class="icon-button menu-button"
        aria-label="Menu"
        aria-expanded={isMenuOpen}
        aria-controls="side"
        onClick={onMenu}
      >
        <Icon name="menu" />
      </button>
      <a class="brand" href={addressOf("overview")} aria-label="Tenuto: overview">
        <Brand />
      </a>
      <GoTo />
      <div class="top-end">
        <ConnectionState />
        <ZoneSwitch />
        <ThemeSwitch />
        <button
          type="button"
          class="icon-button"
          aria-label="Help"
          title="Help (?)"
          onClick={() => (isHelpOpen.value = true)}
        >
          <Icon name="help" />
        </button>
        <SignedIn />
      </div>
      {isHelpOpen.value && <Help onClose={() => (isHelpOpen.value = false)} />}
    </header>
  );
}

function ZoneSwitch(): JSX.Element {
  const isUtc = zone.value === "utc";
  return (
    <button
      type="button"
      class="button quiet small zone-switch"
      title={isUtc ? "Times are in UTC: show local time" : "Times are local: show UTC"}
      aria-label={isUtc ? "Times in UTC" : "Times in local time"}
      onClick={() => (zone.value = isUtc ? "local" : "utc")}
    >
      {isUtc ? "UTC" : "Local"}
    </button>
  );
}

const NEXT_THEME: Readonly<Record<Theme, Theme>> = { system: "light", light: "dark", dark: "system" };
const THEME_ICONS: Readonly<Record<Theme, IconName>> = { system: "system", light: "light", dark: "dark" };

function ThemeSwitch(): JSX.Element {
  const chosen = theme.value;
  return (
    <button
      type="button"
      class="icon-button"
      aria-label={`Theme: ${chosen}`}
      title={`Theme: ${chosen}`}
      onClick={() => (theme.value = NEXT_THEME[chosen])}
    >
      <Icon name={THEME_ICONS[chosen]} />
    </button>
  );
}

function SignedIn(): JSX.Element | null {
  if (!session.value?.needsKey) return null;
  return (
    <>
      <span class="role long-only" title="What your key may do">
        {session.value.role}
      </span>
      <button type="button" class="icon-button" aria-label="Sign out" title="Sign out" onClick={() => void signOut()}>
        <Icon name="leave" />
      </button>
    </>
  );
}
