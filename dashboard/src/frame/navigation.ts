/**
 * Where one can go. Entities, schedules and flow control get a line here once there is something to show.
 */

import type { Overview } from "../api/types";
import type { Place } from "../router";
import { heldCount } from "../holds";
import type { IconName } from "./icons";

export interface Entry {
  readonly place: Place;
  readonly label: string;
  readonly icon: IconName;
  /** How many things there want to be looked at. */
  readonly count?: (overview: Overview) => number;
}

export interface Group {
  readonly label: string;
  readonly entries: readonly Entry[];
}

export const NAVIGATION: readonly Group[] = [
  {
    label: "Runs",
    entries: [
      { place: "overview", label: "Overview", icon: "overview" },
      { place: "instances", label: "Instances", icon: "instances" },
      { place: "held", label: "Held", icon: "held", count: heldCount },
    ],
  },
  {
    label: "Messages",
    entries: [
      { place: "topics", label: "Topics", icon: "topics" },
      { place: "queues", label: "Queues", icon: "queues" },
      { place: "failed-deliveries", label: "Failed deliveries", icon: "failed" },
      { place: "dead-letters", label: "Dead letters", icon: "letters" },
    ],
  },
  {
    label: "Hub",
    entries: [
      { place: "functions", label: "Functions", icon: "functions" },
      { place: "hosts", label: "Hosts", icon: "hosts" },
      { place: "usage", label: "Usage", icon: "usage" },
      { place: "settings", label: "Settings", icon: "settings" },
    ],
  },
];
