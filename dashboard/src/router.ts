/**
 * Addresses of views, behind `#`: nothing of them is sent to a server.
 *
 * Owns the table of views. An address that is none leads to the overview's "no such page".
 */

import { computed, signal } from "@preact/signals";

/** Values of a query. One that is undefined or empty is left out of the address. */
export type Query = Readonly<Record<string, string | undefined>>;

export type Place =
  | "overview"
  | "instances"
  | "held"
  | "dead-letters"
  | "failed-deliveries"
  | "functions"
  | "hosts"
  | "topics"
  | "queues"
  | "usage"
  | "settings";

export type Route =
  | { readonly view: Place; readonly query: Query }
  | { readonly view: "instance"; readonly id: string; readonly query: Query }
  | { readonly view: "unknown"; readonly path: string; readonly query: Query };

const PLACES: ReadonlySet<string> = new Set<Place>([
  "instances",
  "held",
  "dead-letters",
  "failed-deliveries",
  "functions",
  "hosts",
  "topics",
  "queues",
  "usage",
  "settings",
]);

/** The route of what stands behind `#` in an address. */
export function parsed(hash: string): Route {
  const text = hash.replace(/^#/, "");
  const mark = text.indexOf("?");
  const path = mark < 0 ? text : text.slice(0, mark);
  const query = mark < 0 ? {} : Object.fromEntries(new URLSearchParams(text.slice(mark + 1)));
  const [first = "", second, ...more] = path.replace(/^\//, "").split("/");
  if (first === "") return { view: "overview", query };
  if (first === "instances" && second && more.length === 0) {
    const id = decoded(second);
    if (id !== null) return { view: "instance", id, query };
  }
  if (second === undefined && PLACES.has(first)) return { view: first as Place, query };
  return { view: "unknown", path, query };
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

/** The address of a place, for `href`. */
export function addressOf(place: Place, query: Query = {}): string {
  return `#/${place === "overview" ? "" : place}${queryText(query)}`;
}

/** The address of an instance, for `href`. */
export function instanceAddress(id: string, query: Query = {}): string {
  return `#/instances/${encodeURIComponent(id)}${queryText(query)}`;
}

function queryText(query: Query): string {
  const pairs = Object.entries(query).filter((pair): pair is [string, string] => Boolean(pair[1]));
  return pairs.length === 0 ? "" : `?${new URLSearchParams(pairs)}`;
}

const hash = signal(globalThis.location?.hash ?? "");

/** Where the page is. */
export const route = computed<Route>(() => parsed(hash.value));

/** What stands behind `#` now. */
export const address = computed(() => hash.value || "#/");

globalThis.addEventListener?.("hashchange", () => {
  hash.value = location.hash;
});

/** Goes to an address; `replace` leaves no step to go back to. */
export function go(to: string, options: { readonly replace?: boolean } = {}): void {
  if (options.replace) history.replaceState(null, "", to);
  else history.pushState(null, "", to);
  hash.value = location.hash;
}

/** Changes values of the query of the view that is shown; undefined takes one out. */
export function setQuery(changes: Query, options: { readonly replace?: boolean } = {}): void {
  const { path, query } = pathAndQuery(hash.value);
  go(`#${path}${queryText({ ...query, ...changes })}`, options);
}

function pathAndQuery(text: string): { readonly path: string; readonly query: Query } {
  const bare = text.replace(/^#/, "") || "/";
  const mark = bare.indexOf("?");
  if (mark < 0) return { path: bare, query: {} };
  return { path: bare.slice(0, mark), query: Object.fromEntries(new URLSearchParams(bare.slice(mark + 1))) };
}
