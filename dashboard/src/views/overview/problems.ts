/** What is wrong with a hub, worst first, from what its routes say. Pure. */

import type { FailedDelivery, HubHosts, Overview, QueueStanding, Subscription } from "../../api/types";
import { capitalised, counted, countText, spanText } from "../../formatting";
import { addressOf } from "../../router";
import { HOLD_REASONS } from "../../holds";

export interface Problem {
  readonly id: string;
  readonly weight: "bad" | "warning";
  readonly text: string;
  /** What it means, or what to do. */
  readonly more: string;
  /** Where it is shown; null when there is no more to see. */
  readonly address: string | null;
  readonly link: string;
}

export interface Known {
  readonly overview: Overview | null;
  readonly hosts: HubHosts | null;
  readonly queues: readonly QueueStanding[] | null;
  readonly subscriptions: readonly Subscription[] | null;
  readonly failedDeliveries: readonly FailedDelivery[] | null;
}

/** A queue whose oldest message waits for longer is called slow. */
const SLOW_QUEUE_SECONDS = 60;
const SLOW_TURN_SECONDS = 5;
const LAG_SECONDS = 60;
/** So many steps of failures are "now". */
const RECENT_STEPS = 24;

export function problemsOf(known: Known): readonly Problem[] {
  const found = [
    ...ofHealth(known.overview),
    ...ofHosts(known.hosts),
    ...ofHeld(known.overview),
    ...ofFailures(known.overview),
    ...ofBacklog(known.overview),
    ...ofSubscriptions(known.subscriptions, known.overview?.at ?? 0),
    ...ofQueues(known.queues, known.overview?.at ?? 0),
    ...ofDeliveries(known),
  ];
  return [...found.filter((one) => one.weight === "bad"), ...found.filter((one) => one.weight === "warning")];
}

function ofHealth(overview: Overview | null): Problem[] {
  if (!overview) return [];
  const { ready, reasons = [], notes = [] } = overview.health;
  // A hold is a problem of its own below, with its own address.
  const told = notes.filter((note) => !/\bheld\b/.test(note));
  return [
    ...(ready
      ? []
      : [
          {
            id: "ready",
            weight: "bad" as const,
            text: "This host takes no work",
            more: reasons.join("; ") || "It did not say why.",
            address: addressOf("hosts"),
            link: "Hosts",
          },
        ]),
    ...told.map((note) => ({
      id: `note ${note}`,
      weight: "warning" as const,
      text: note,
      more: "",
      address: null,
      link: "",
    })),
  ];
}

function ofHosts(hosts: HubHosts | null): Problem[] {
  if (!hosts) return [];
  const unserved = hosts.unserved.flatMap((one) => one.partitions);
  const silent = hosts.hosts.filter((host) => host.isAlive !== false && (host.silentSeconds ?? 0) > 0);
  const old = hosts.hosts.filter((host) => host.isAlive && host.isNewest === false);
  return [
    ...(unserved.length === 0
      ? []
      : [
          {
            id: "unserved",
            weight: "bad" as const,
            text: `${counted(unserved.length, "partition")} of ${hosts.partitions} served by nobody`,
            more: "Their instances stand still until a host takes them.",
            address: addressOf("hosts"),
            link: "Hosts",
          },
        ]),
    ...silent.map((host) => ({
      id: `silent ${host.host}`,
      weight: "warning" as const,
      text: `No sign of life from ${host.description}`,
      more: `Silent for ${spanText(host.silentSeconds ?? 0)}.`,
      address: addressOf("hosts"),
      link: "Hosts",
    })),
    ...(old.length === 0
      ? []
      : [
          {
            id: "versions",
            weight: "warning" as const,
            text: `${counted(old.length, "host")} with an older version of the app`,
            more: "This passes when a deployment has ended.",
            address: addressOf("hosts"),
            link: "Hosts",
          },
        ]),
  ];
}

function ofHeld(overview: Overview | null): Problem[] {
  const held = Object.entries(overview?.instances?.held ?? {}).filter(([, count]) => count > 0);
  if (held.length === 0) return [];
  const sum = held.reduce((total, [, count]) => total + count, 0);
  return [
    {
      id: "held",
      weight: "bad",
      text: `${counted(sum, "instance")} held`,
      more: `${capitalised(held.map(([reason, count]) => `${HOLD_REASONS[reason as keyof typeof HOLD_REASONS]?.short ?? reason} (${count})`).join("; "))}.`,
      address: addressOf("held"),
      link: "Look at both sides",
    },
  ];
}

function ofFailures(overview: Overview | null): Problem[] {
  if (!overview) return [];
  const { failed, completed, stepSeconds } = overview.series;
  const bad = sum(failed.slice(-RECENT_STEPS));
  if (bad === 0) return [];
  const all = bad + sum(completed.slice(-RECENT_STEPS));
  const span = spanText(Math.min(RECENT_STEPS, failed.length) * stepSeconds);
  const names = [...new Set(overview.failures.map((one) => one.name))].slice(0, 3).join(", ");
  return [
    {
      id: "failing",
      weight: bad * 4 >= all ? "bad" : "warning",
      text: `${counted(bad, "instance")} failed in the last ${span}`,
      more: `Of ${countText(all)} that ended on this host${names ? `; lately ${names}` : ""}.`,
      address: addressOf("instances", { status: "failed", order: "last_completed" }),
      link: "Failed instances",
    },
  ];
}

function ofBacklog(overview: Overview | null): Problem[] {
  const oldest = overview?.backlog.oldestSeconds ?? 0;
  if (!overview || oldest < SLOW_TURN_SECONDS) return [];
  return [
    {
      id: "backlog",
      weight: "warning",
      text: `Work has waited ${spanText(oldest)} for its turn`,
      more: `${counted(overview.backlog.turns, "turn")} and ${counted(overview.backlog.activities, "activity", "activities")} are queued.`,
      address: addressOf("functions"),
      link: "What is queued",
    },
  ];
}

function ofSubscriptions(subscriptions: readonly Subscription[] | null, now: number): Problem[] {
  return (subscriptions ?? []).flatMap((one): Problem[] => {
    const waited = one.lag > 0 && one.oldest ? (now - one.oldest) / 1e6 : 0;
    const place = { address: addressOf("topics", { topic: one.topic }), link: "Topic" };
    if (one.isServed === false && one.lag > 0) {
      const more = "No host has its function; the events wait.";
      return [
        {
          id: `unserved ${one.name} ${one.topic}`,
          weight: "warning",
          text: `Nobody serves ${one.name}: ${counted(one.lag, "event")} behind`,
          more,
          ...place,
        },
      ];
    }
    if (waited < LAG_SECONDS) return [];
    return [
      {
        id: `lag ${one.name} ${one.topic}`,
        weight: "warning",
        text: `${one.name} is ${counted(one.lag, "event")} behind`,
        more: `The oldest has waited ${spanText(waited)}.${one.retrying ? ` ${counted(one.retrying, "event")} tried again.` : ""}`,
        ...place,
      },
    ];
  });
}

function ofQueues(queues: readonly QueueStanding[] | null, now: number): Problem[] {
  return (queues ?? []).flatMap((queue): Problem[] => {
    const waited = queue.ready > 0 && queue.oldest ? (now - queue.oldest) / 1e6 : 0;
    if (waited < SLOW_QUEUE_SECONDS) return [];
    return [
      {
        id: `queue ${queue.name}`,
        weight: "warning",
        text: `Queue ${queue.name}: ${counted(queue.ready, "message")} wait`,
        more: `The oldest for ${spanText(waited)}.`,
        address: addressOf("queues", { queue: queue.name }),
        link: "Queue",
      },
    ];
  });
}

function ofDeliveries(known: Known): Problem[] {
  const count = known.failedDeliveries?.length ?? 0;
  if (count === 0) return [];
  return [
    {
      id: "deliveries",
      weight: "warning",
      text: `${count >= MOST_DELIVERIES ? `${MOST_DELIVERIES} or more deliveries` : counted(count, "delivery", "deliveries")} put aside`,
      more: "Their functions failed at every attempt.",
      address: addressOf("failed-deliveries"),
      link: "Failed deliveries",
    },
  ];
}

/** So many are asked for: as many as are worth counting here. */
export const MOST_DELIVERIES = 100;

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
