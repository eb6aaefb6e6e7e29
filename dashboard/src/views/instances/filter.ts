/**
 * What a list of instances shows: as values, as the query of an address, as parameters of the API.
 *
 * Pure. `fits` says the same of a live update as the host says of a record, so that new rows can be announced.
 */

import type { Parameters } from "../../api/client";
import { isoText } from "../../formatting";
import type { Query } from "../../router";
import { isFinished, SHOWN_STATUSES, type Status } from "../../statuses";

export type Order = "newest" | "oldest" | "last_completed" | "first_completed";

export const ORDERS: Readonly<Record<Order, string>> = {
  newest: "Newest first",
  oldest: "Oldest first",
  last_completed: "Last ended first",
  first_completed: "First ended first",
};

/** Ranges that move along with the present, in seconds. */
export const RANGES = { "10m": 600, "1h": 3600, "24h": 86_400, "7d": 604_800, "30d": 2_592_000 } as const;
export type Range = keyof typeof RANGES;

export const RANGE_WORDS: Readonly<Record<Range, string>> = {
  "10m": "Last 10 minutes",
  "1h": "Last hour",
  "24h": "Last 24 hours",
  "7d": "Last 7 days",
  "30d": "Last 30 days",
};

export interface Filter {
  readonly statuses: readonly Status[];
  readonly name: string;
  readonly prefix: string;
  readonly held: boolean | null;
  readonly order: Order;
  readonly range: Range | null;
  /** As `<input type="datetime-local">` has it, in UTC: addresses mean the same everywhere. */
  readonly createdFrom: string;
  readonly createdTo: string;
}

export const EVERYTHING: Filter = {
  statuses: [],
  name: "",
  prefix: "",
  held: null,
  order: "newest",
  range: null,
  createdFrom: "",
  createdTo: "",
};

export function filterOf(query: Query): Filter {
  const wanted = new Set((query["status"] ?? "").toLowerCase().split(","));
  const { order, created } = query;
  return {
    statuses: SHOWN_STATUSES.filter((status) => wanted.has(status.toLowerCase())),
    name: query["name"] ?? "",
    prefix: query["prefix"] ?? "",
    held: query["held"] === "true" ? true : query["held"] === "false" ? false : null,
    order: order !== undefined && Object.hasOwn(ORDERS, order) ? (order as Order) : "newest",
    range: created !== undefined && Object.hasOwn(RANGES, created) ? (created as Range) : null,
    createdFrom: momentOf(query["createdFrom"]),
    createdTo: momentOf(query["createdTo"]),
  };
}

function momentOf(text: string | undefined): string {
  return text !== undefined && !Number.isNaN(Date.parse(`${text}Z`)) ? text : "";
}

/** The query of the filter's address; what is as always is left out. */
export function queryOf(filter: Filter): Query {
  return {
    status: filter.statuses.map((status) => status.toLowerCase()).join(",") || undefined,
    name: filter.name || undefined,
    prefix: filter.prefix || undefined,
    held: filter.held === null ? undefined : String(filter.held),
    order: filter.order === "newest" ? undefined : filter.order,
    created: filter.range ?? undefined,
    createdFrom: filter.createdFrom || undefined,
    createdTo: filter.createdTo || undefined,
  };
}

/** As the API takes it. `now` in microseconds. */
export function parametersOf(filter: Filter, now: number): Parameters {
  const { from, to } = createdBetween(filter, now);
  return {
    status: filter.statuses.join(",").toLowerCase(),
    name: filter.name,
    prefix: filter.prefix,
    held: filter.held,
    order: filter.order === "newest" ? null : filter.order,
    createdFrom: from === null ? null : isoText(from),
    createdTo: to === null ? null : isoText(to),
  };
}

/** The bounds of creation in microseconds; null where there is none. */
export function createdBetween(
  filter: Filter,
  now: number,
): { readonly from: number | null; readonly to: number | null } {
  if (filter.range) return { from: now - RANGES[filter.range] * 1e6, to: null };
  const read = (text: string) => (text === "" ? null : Date.parse(`${text}Z`) * 1000);
  return { from: read(filter.createdFrom), to: read(filter.createdTo) };
}

export interface Seen {
  readonly id: string;
  readonly name: string;
  readonly status: Status;
  readonly createdAt: number;
  readonly isHeld: boolean;
}

/** Whether an instance belongs to the list, as far as a live update tells. */
export function fits(filter: Filter, seen: Seen, now: number): boolean {
  const { from, to } = createdBetween(filter, now);
  return (
    (filter.statuses.length === 0 || filter.statuses.includes(seen.status)) &&
    (filter.name === "" || filter.name === seen.name) &&
    seen.id.startsWith(filter.prefix) &&
    (filter.held === null || filter.held === seen.isHeld) &&
    (from === null || seen.createdAt >= from) &&
    (to === null || seen.createdAt <= to) &&
    (!isByCompletion(filter.order) || isFinished(seen.status))
  );
}

export function isByCompletion(order: Order): boolean {
  return order === "last_completed" || order === "first_completed";
}
