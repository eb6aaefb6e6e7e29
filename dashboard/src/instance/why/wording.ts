/** The facts of an explanation in words, each with the instance that it leads to. Pure. */
import { countText, momentText, spanText, type Zone } from "../../formatting";
import { holdText } from "../../holds";
import { preview } from "../../json_text";
import type { Fact, Microseconds } from "../shapes";

/** One link of the chain of causes. */
export interface Link {
  readonly text: string;
  /** The instance that it is about, when that is another one; its id stands after the text. */
  readonly instanceId: string | null;
  /** What is said after that. */
  readonly after: string;
  readonly isBad: boolean;
  /** What it comes from, one or more calls down. */
  readonly below: readonly Link[];
  /** How many facts it tells of, when it is more than one. */
  readonly count?: number;
}

/** All facts, the most important first; null when there is one that this page does not know. */
export function chainOf(facts: readonly Fact[], now: Microseconds, zone: Zone): Link[] | null {
  if (facts.length === 0 || facts.some((fact) => textOf(fact, now, zone) === null)) return null;
  return facts.map((fact) => linkOf(fact, now, zone));
}

/** One fact in words. */
export function linkOf(fact: Fact, now: Microseconds, zone: Zone): Link {
  const { below } = fact;
  const under = below ? [belowLink(below, now, zone)] : [];
  const instanceId = fact.type === "orchestration" ? (fact.instanceId ?? null) : null;
  const after = fact.type === "orchestration" ? childText(fact, untilText(fact, zone)) : "";
  return { text: textOf(fact, now, zone) ?? fact.type, instanceId, after, isBad: isBad(fact), below: under };
}

function belowLink(below: NonNullable<Fact["below"]>, now: Microseconds, zone: Zone): Link {
  const inner = linkOf(below.fact, now, zone);
  const depth = below.levels && below.levels > 1 ? `, ${below.levels} calls down,` : "";
  const after = `${depth} ${inner.text}${inner.after}`;
  return { ...inner, text: below.name, instanceId: below.instanceId, after };
}

const BAD: ReadonlySet<string> = new Set([
  ...["held", "storeUnavailable", "notServed", "unowned", "untaken", "nothingOpen", "noHost"],
]);

function isBad(fact: Fact): boolean {
  return BAD.has(fact.type) || fact["isMissing"] === true || fact["isLost"] === true || fact["isUnserved"] === true;
}

function untilText(fact: Fact, zone: Zone): string {
  return fact.until === undefined ? "" : momentText(fact.until, zone);
}

function textOf(fact: Fact, now: Microseconds, zone: Zone): string | null {
  const since = fact.since === undefined ? "" : ` for ${spanText((now - fact.since) / 1e6)}`;
  const until = untilText(fact, zone);
  switch (fact.type) {
    case "held":
      return `is held${since}: ${holdText(String(fact["reason"]))}`;
    case "storeUnavailable":
      return `its host cannot write to the store: ${fact["error"]}`;
    case "suspended":
      return `is suspended${since}${fact["reason"] ? `: ${fact["reason"]}` : ""}`;
    case "notServed":
      return `needs ${fact["kind"]} ${fact.name}, which ${fact["by"] === "app" ? "the app does not have" : "no host has"}`;
    case "unowned":
      return `no host serves its partition ${fact["partition"] ?? ""}${fact["lastHost"] ? `; the last one was ${fact["lastHost"]}` : ""}`;
    case "pending":
      return `has not begun${until ? `; it begins at ${until}` : since}`;
    case "untaken":
      return `${countText(Number(fact["count"]))} messages lie in its inbox, and nobody takes them`;
    case "turn":
      return `is queued for its turn, at place ${countText(Number(fact["place"]))}`;
    case "timer":
      return `waits for a timer${until ? `, due at ${until}` : ""}${purposeText(fact["purpose"])}`;
    case "event":
      if (fact["hasCome"]) return `waits for event ${quoted(fact.name)}, which has come and counts when it goes on`;
      return `waits for event ${quoted(fact.name)}${since}${until ? `, until ${until}` : ""}`;
    case "topic":
      return `waits for an event of topic ${quoted(fact["topic"])} with key ${quoted(fact["key"])}${since}${until ? `, until ${until}` : ""}`;
    case "question":
      if (typeof fact["answer"] === "string")
        return `${quoted(fact["title"])} is answered with ${preview(fact["answer"], 80)}, which counts when it goes on`;
      return `waits for a person to answer ${quoted(fact["title"])}${since}${until ? `, until ${until}` : ""}`;
    case "activity":
      return `waits for activity ${fact["call"] ?? fact.name}${activityText(fact, now, until)}`;
    case "orchestration":
      return `waits for child ${fact.name}`;
    case "nothingOpen":
      return "its code waits, and nothing is open that could wake it";
    case "noHost":
      return "no host runs on this store";
    case "elsewhere":
      return `host ${fact["host"]}${fact["address"] ? ` (${fact["address"]})` : ""} serves it, and knows more`;
    default:
      return null;
  }
}

function quoted(text: unknown): string {
  return `“${String(text ?? "")}”`;
}

function purposeText(purpose: unknown): string {
  if (purpose === "timeout") return ", a time limit";
  return purpose === "poll" ? ", to ask again" : "";
}

function activityText(fact: Fact, now: Microseconds, until: string): string {
  const attempt = fact.attempt && fact.attempt > 1 ? `, attempt ${fact.attempt}` : "";
  const before = fact.failure ? `; before it: ${fact.failure.errorType}: ${fact.failure.errorMessage}` : "";
  if (until) return `${attempt}, which begins at ${until}${before}`;
  if (fact.stage === "running") {
    const begun = (fact["begunAt"] as Microseconds | undefined) ?? fact.since ?? now;
    return `${attempt}, running for ${spanText((now - begun) / 1e6)}${before}`;
  }
  if (fact.stage === "queued")
    return `${attempt}, queued at place ${fact["place"] === undefined ? "?" : countText(Number(fact["place"]))}${behindText(fact["behind"])}${before}`;
  return `${attempt}${before}`;
}

function behindText(behind: unknown): string {
  return typeof behind === "string" ? ` behind ${behind}` : "";
}

function childText(fact: Fact, until: string): string {
  if (fact["isMissing"]) return ", which does not exist";
  if (fact["isLost"]) return ", which will not answer";
  if (fact["isUnserved"]) return ", whose orchestrator is not there";
  if (fact["linkProblem"]) return `, on another hub: ${fact["linkProblem"]}`;
  if (until) return `, tried again at ${until}`;
  return fact.held ? ", which is held" : fact.status ? `, ${String(fact.status)}` : "";
}

const UTC_MOMENT = /\b(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)Z/g;

/** A sentence of the host, its moments in the zone of the reader. */
export function inZone(sentence: string, zone: Zone): string {
  if (zone === "utc") return sentence;
  return sentence.replace(UTC_MOMENT, (_, day: string, time: string) => {
    return momentText(Date.parse(`${day}T${time}Z`) * 1000, zone).replace(/ UTC.*$/, "");
  });
}
