/** The hub and its hosts at a glance. */

import type { HoldReason } from "./instances";
import type { Microseconds } from "./session";

/** Where a host gives up counting the instances of a status. */
export const MOST_COUNTED = 100_000;

export interface Overview {
  readonly at: Microseconds;
  readonly host: string;
  readonly version: string;
  readonly appVersion?: string | null;
  readonly since: Microseconds;
  /** Of the hub; null until the store has told it. */
  readonly instances: {
    readonly at?: Microseconds;
    readonly pending: number;
    readonly running: number;
    readonly suspended: number;
    readonly held: Readonly<Partial<Record<HoldReason, number>>>;
    /** Counting was given up at `MOST_COUNTED` of a status. */
    readonly isEstimate?: boolean;
  } | null;
  readonly backlog: {
    readonly turns: number;
    readonly activities: number;
    readonly running: number;
    readonly oldestSeconds: number | null;
  };
  readonly series: Series;
  readonly failures: readonly {
    readonly instanceId: string;
    readonly name: string;
    readonly at: Microseconds;
    readonly message: string;
  }[];
  readonly workers: readonly {
    readonly program: string;
    readonly name: string;
    readonly state: string;
    readonly running: number;
    readonly pid?: number | null;
  }[];
  /** How many workers of each kind this host has, and may have. */
  readonly pools?: readonly {
    readonly program?: string;
    readonly name: string;
    readonly workers: number;
    readonly starting?: number;
    readonly least?: number;
    readonly most: number;
  }[];
  readonly health: {
    readonly ready: boolean;
    readonly reasons?: readonly string[];
    readonly notes?: readonly string[];
  };
}

export interface Series {
  readonly stepSeconds: number;
  readonly from: Microseconds;
  readonly started: readonly number[];
  readonly completed: readonly number[];
  readonly failed: readonly number[];
  readonly activities: readonly number[];
  readonly activityFailures: readonly number[];
}

export interface HubHost {
  readonly host: string;
  readonly description: string;
  readonly address?: string | null;
  readonly appVersion?: string;
  readonly isNewest?: boolean;
  readonly isAlive?: boolean;
  readonly isLeaving?: boolean;
  readonly since?: Microseconds | null;
  readonly until?: Microseconds | null;
  readonly silentSeconds?: number | null;
  readonly partitions?: readonly number[];
  readonly load?: {
    readonly instances?: number;
    readonly activities?: number;
    readonly ready?: number;
    readonly waited?: number;
  } | null;
}

export interface HubHosts {
  readonly at: Microseconds;
  readonly partitions: number;
  readonly hosts: readonly HubHost[];
  readonly unserved: readonly {
    readonly partitions: readonly number[];
    readonly since?: Microseconds | null;
    readonly lastHost?: string;
  }[];
}

/** How many hosts the hub should have, as `/admin/scale` advises. */
export interface ScaleAdvice {
  readonly hosts: number;
  readonly wanted: number;
  readonly reason: string;
}

export interface Setting {
  readonly key: string;
  readonly value: unknown;
  readonly source: string | null;
}

export interface HostInfo {
  readonly version: string;
  readonly python: string;
  readonly storage: string;
  readonly startedAt: Microseconds;
  readonly uptimeSeconds: number;
  readonly settings: readonly Setting[];
}

/** A link to another hub, as `/runtime/links` tells it. */
export interface HubLink {
  readonly name: string;
  readonly dials: boolean;
  readonly url: string | null;
  readonly received: number;
  readonly delivered: number;
  readonly waiting: number;
  readonly waitingBytes: number;
  readonly heldBytes: number;
  readonly heardAt: Microseconds | null;
  readonly problem: string | null;
}
