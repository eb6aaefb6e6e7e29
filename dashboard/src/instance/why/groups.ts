/**
 * Facts of an explanation that are alike, as one line: "activity fetch × 200, 16 running, the longest for 1.5 s". Pure.
 */

import { countText, spanText, type Zone } from "../../formatting";
import type { Fact, Microseconds } from "../shapes";
import { linkOf, type Link } from "./wording";

/** Fewer stand by themselves. */
const LEAST = 3;

/** A line for each fact, and one for those that are alike, at the place of the first of them. */
export function groupedLinks(facts: readonly Fact[], now: Microseconds, zone: Zone): Link[] {
  const groups = new Map<string, Fact[]>();
  for (const [index, fact] of facts.entries()) {
    const key = keyOf(fact) ?? String(index);
    groups.set(key, [...(groups.get(key) ?? []), fact]);
  }
  return [...groups.values()].flatMap((alike) =>
    alike.length < LEAST ? alike.map((fact) => linkOf(fact, now, zone)) : [groupLink(alike, now)],
  );
}

/** What is alike: the same kind of wait for the same thing; null for what stands alone. */
function keyOf(fact: Fact): string | null {
  switch (fact.type) {
    case "activity":
      return `activity ${String(fact["call"] ?? fact.name)}`;
    case "orchestration":
      return `child ${fact.name}`;
    case "event":
      return `event “${fact.name}”`;
    case "topic":
      return `event of topic “${String(fact["topic"])}”`;
    case "question":
    case "timer":
      return fact.type;
    default:
      return null;
  }
}

function groupLink(alike: readonly Fact[], now: Microseconds): Link {
  const states = [...statesOf(alike)]
    .map(([state, count]) => `, ${count === alike.length ? "all" : countText(count)} ${state}`)
    .join("");
  const begun = alike.map((fact) => beginningOf(fact)).filter((at): at is Microseconds => at !== null);
  const longest = begun.length === 0 ? "" : `, the longest for ${spanText((now - Math.min(...begun)) / 1e6)}`;
  const isBad = alike.some((fact) => linkOf(fact, now, "utc").isBad);
  const text = `waits for ${keyOf(alike[0] as Fact)} × ${countText(alike.length)}${states}${longest}`;
  return { text, instanceId: null, after: "", isBad, below: [], count: alike.length };
}

/** How many are in which state, what is worst first. */
function statesOf(alike: readonly Fact[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const state of STATES) {
    const count = alike.filter((fact) => stateOf(fact) === state).length;
    if (count > 0) counts.set(state, count);
  }
  return counts;
}

const STATES = ["lost", "held", "suspended", "tried again later", "running", "queued", "not begun"] as const;

function stateOf(fact: Fact): (typeof STATES)[number] | null {
  if (fact["isMissing"] || fact["isLost"] || fact["isUnserved"]) return "lost";
  if (fact.held) return "held";
  if (fact.type === "activity") {
    if (fact.until !== undefined) return "tried again later";
    return fact.stage === "running" || fact.stage === "queued" ? fact.stage : null;
  }
  return fact.type === "orchestration" ? (CHILD_STATES[fact.status ?? ""] ?? null) : null;
}

const CHILD_STATES: Readonly<Record<string, (typeof STATES)[number]>> = {
  Running: "running",
  Suspended: "suspended",
  Pending: "not begun",
};

/** Since when it runs, or is waited for. */
function beginningOf(fact: Fact): Microseconds | null {
  return (fact["begunAt"] as Microseconds | undefined) ?? fact.since ?? null;
}
