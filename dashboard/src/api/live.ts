/**
 * Live updates: server-sent events of one instance or of the whole hub.
 *
 * A stream is closed while the page is hidden and goes on where it was when it is seen again. What a stream missed for
 * good it says with a reset: whoever shows its data reads it anew. While other windows hold all the streams that a
 * browser can, there is a reset every few seconds instead.
 */

import { effect, untracked } from "@preact/signals";
import { pathOf, type Parameters } from "./client";
import { Coalescer } from "./coalescing";
import { returns, streamIs, type StreamState } from "./connection";
import { digestOf } from "./digest";
import { isSignedIn } from "./session";
import type { Digest, Update } from "./types";
import { wishFor, type Kind, type Wish } from "./windows";

export interface Listener {
  /** Updates in their order, at most four times a second. */
  readonly onUpdates: (updates: readonly Update[]) => void;
  /** What stood before is unknown: read anew. Of one instance its state comes along. */
  readonly onReset?: (state: Update | null) => void;
}

/** Whoever listens to the hub says what of it: with neither of both it is only known that the host is there. */
export interface HubListener {
  /** Updates of all instances, as of one: of a busy host thousands a second. */
  readonly onUpdates?: (updates: readonly Update[]) => void;
  /**
   * How many instances have changed. Costs next to nothing, as long as nobody listens to updates. Who does is told only
   * of those that were too many to be told each.
   */
  readonly onDigest?: (digest: Digest) => void;
  readonly onReset?: () => void;
}

type Message =
  | { readonly kind: "update"; readonly update: Update }
  | { readonly kind: "digest"; readonly digest: Digest }
  | { readonly kind: "reset"; readonly state: Update | null };

const LONGEST_RETRY = 10_000;
/** So often a window asks that may hold no stream. */
const ASKED_EVERY = 3_000;
/** Of more instances that change at once a page cannot show each: it is told how many. */
const MOST = 50;

/** A stream that opens itself again until it is closed. */
class Stream {
  private readonly wish: Wish;
  private asking: ReturnType<typeof setInterval> | undefined;
  private source: EventSource | null = null;
  private lastId = "";
  private tries = 0;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private isDone = false;
  private readonly unsubscribe: () => void;

  constructor(
    kind: Kind,
    private readonly path: string,
    private readonly onMessage: (message: Message) => void,
    private readonly onState: (state: StreamState) => void = () => undefined,
    private readonly query: Parameters = {},
  ) {
    this.wish = wishFor(kind);
    document.addEventListener("visibilitychange", this.seenOrHidden);
    // The host is back, or somebody has signed in again: no need to wait for the next try.
    this.unsubscribe = effect(() => {
      returns.value;
      const may = this.wish.may.value;
      if (isSignedIn.value) untracked(() => this.shareOut(may));
    });
  }

  close(): void {
    this.isDone = true;
    this.shut();
    clearInterval(this.asking);
    this.unsubscribe();
    this.wish.drop();
    document.removeEventListener("visibilitychange", this.seenOrHidden);
  }

  private shareOut(may: boolean): void {
    clearInterval(this.asking);
    this.seenOrHidden();
    if (may || this.isDone) return;
    this.onState("shared");
    this.asking = setInterval(() => {
      if (!document.hidden && isSignedIn.peek()) this.onMessage({ kind: "reset", state: null });
    }, ASKED_EVERY);
  }

  private readonly seenOrHidden = (): void => {
    if (document.hidden || !this.wish.may.peek()) this.shut();
    else if (!this.isDone && this.source === null) this.open();
  };

  private shut(): void {
    clearTimeout(this.retry);
    this.source?.close();
    this.source = null;
  }

  private open(): void {
    this.shut();
    const source = new EventSource(pathOf(this.path, { ...this.query, lastEventId: this.lastId }));
    this.source = source;
    source.addEventListener("open", () => {
      this.tries = 0;
      this.onState("open");
    });
    source.addEventListener("update", (event) => this.take(event as MessageEvent<string>, "update"));
    source.addEventListener("reset", (event) => this.take(event as MessageEvent<string>, "reset"));
    source.addEventListener("digest", (event) => {
      this.onMessage({ kind: "digest", digest: JSON.parse((event as MessageEvent<string>).data) as Digest });
    });
    source.addEventListener("error", () => this.broken(source));
  }

  private take(event: MessageEvent<string>, kind: "update" | "reset"): void {
    this.lastId = event.lastEventId;
    const state =
      event.data === "" || event.data === "null" ? null : (JSON.parse(event.data) as Update | Record<string, never>);
    const update = state !== null && "instanceId" in state ? (state as Update) : null;
    if (kind === "reset") this.onMessage({ kind, state: update });
    else if (update !== null) this.onMessage({ kind, update });
  }

  /** Browsers try again themselves only when the connection broke, not when it was refused. */
  private broken(source: EventSource): void {
    if (this.source !== source || this.isDone) return;
    this.onState("broken");
    this.shut();
    if (!isSignedIn.value) return;
    this.tries += 1;
    this.retry = setTimeout(() => this.open(), Math.min(500 * 2 ** (this.tries - 1), LONGEST_RETRY));
  }
}

/**
 * Listens to one instance until the function that is returned is called, or its last event has come.
 *
 *     useEffect(() => watchInstance(id, { onUpdates: () => run.reload() }), [id]);
 */
export function watchInstance(id: string, listener: Listener): () => void {
  const updates = new Coalescer<Update>(listener.onUpdates);
  const stream = new Stream("instance", `/admin/instances/${encodeURIComponent(id)}/events`, (message) => {
    if (message.kind === "digest") return;
    if (message.kind === "update") updates.add(message.update);
    else {
      updates.stop();
      listener.onReset?.(message.state);
    }
    const state = message.kind === "update" ? message.update : message.state;
    if (state?.ended || state?.purged) stream.close();
  });
  return () => {
    updates.stop();
    stream.close();
  };
}

/** One who listens to the hub, and what waits for them. */
class HubEar {
  readonly wantsUpdates: boolean;
  private readonly updates: Coalescer<Update>;

  constructor(private readonly listener: HubListener) {
    this.wantsUpdates = listener.onUpdates !== undefined;
    this.updates = new Coalescer((updates) => {
      if (listener.onUpdates) listener.onUpdates(updates);
      else listener.onDigest?.(digestOf(updates));
    });
  }

  take(message: Message): void {
    if (message.kind === "update") this.updates.add(message.update);
    else if (message.kind === "digest") this.listener.onDigest?.(message.digest);
    else {
      this.updates.stop();
      this.listener.onReset?.();
    }
  }

  stop(): void {
    this.updates.stop();
  }
}

const ears = new Set<HubEar>();
let hub: { readonly stream: Stream; readonly tellsUpdates: boolean } | null = null;
let tuning: ReturnType<typeof setTimeout> | undefined;

/**
 * Listens to all instances of the hub. However many do, there is one stream, since browsers have few connections to a
 * host: it tells each update as long as somebody listens to them, else digests.
 */
export function watchHub(listener: HubListener): () => void {
  const ear = new HubEar(listener);
  ears.add(ear);
  tune();
  return () => {
    ear.stop();
    ears.delete(ear);
    tune();
  };
}

/** Once all have come and gone: from one view to the next the stream stays, if it can. */
function tune(): void {
  tuning ??= setTimeout(() => {
    tuning = undefined;
    const tellsUpdates = [...ears].some((ear) => ear.wantsUpdates);
    if (ears.size > 0 && hub?.tellsUpdates === tellsUpdates) return;
    hub?.stream.close();
    hub = null;
    if (ears.size === 0) streamIs("none");
    else {
      const query = tellsUpdates ? { most: MOST } : { digest: true };
      hub = { stream: new Stream("hub", "/admin/events", toAll, streamIs, query), tellsUpdates };
    }
  });
}

function toAll(message: Message): void {
  for (const ear of [...ears]) ear.take(message);
}
