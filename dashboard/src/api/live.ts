/**
 * Live updates: server-sent events of one instance or of the whole hub.
 *
 * A stream is closed while the page is hidden and goes on where it was when it is seen again. What a stream missed for
 * good it says with a reset: whoever shows its data reads it anew.
 */

import { effect, untracked } from "@preact/signals";
import { pathOf } from "./client";
import { Coalescer } from "./coalescing";
import { returns, streamIs } from "./connection";
import { isSignedIn } from "./session";
import type { Update } from "./types";

export interface Listener {
  /** Updates in their order, at most four times a second. */
  readonly onUpdates: (updates: readonly Update[]) => void;
  /** What stood before is unknown: read anew. Of one instance its state comes along. */
  readonly onReset?: (state: Update | null) => void;
}

type Message =
  { readonly kind: "update"; readonly update: Update } | { readonly kind: "reset"; readonly state: Update | null };

const LONGEST_RETRY = 10_000;

/** A stream that opens itself again until it is closed. */
class Stream {
  private source: EventSource | null = null;
  private lastId = "";
  private tries = 0;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private isDone = false;
  private readonly unsubscribe: () => void;

  constructor(
    private readonly path: string,
    private readonly onMessage: (message: Message) => void,
    private readonly onState: (state: "open" | "broken") => void = () => undefined,
  ) {
    document.addEventListener("visibilitychange", this.seenOrHidden);
    // The host is back, or somebody has signed in again: no need to wait for the next try.
    this.unsubscribe = effect(() => {
      returns.value;
      if (isSignedIn.value) untracked(this.seenOrHidden);
    });
  }

  close(): void {
    this.isDone = true;
    this.shut();
    this.unsubscribe();
    document.removeEventListener("visibilitychange", this.seenOrHidden);
  }

  private readonly seenOrHidden = (): void => {
    if (document.hidden) this.shut();
    else if (!this.isDone && this.source === null) this.open();
  };

  private shut(): void {
    clearTimeout(this.retry);
    this.source?.close();
    this.source = null;
  }

  private open(): void {
    this.shut();
    const source = new EventSource(pathOf(this.path, { lastEventId: this.lastId }));
    this.source = source;
    source.addEventListener("open", () => {
      this.tries = 0;
      this.onState("open");
    });
    source.addEventListener("update", (event) => this.take(event as MessageEvent<string>, "update"));
    source.addEventListener("reset", (event) => this.take(event as MessageEvent<string>, "reset"));
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

/** Hands messages on: resets at once, updates coalesced. */
function relay(listener: Listener): { readonly take: (message: Message) => void; readonly stop: () => void } {
  const updates = new Coalescer<Update>(listener.onUpdates);
  return {
    take: (message) => {
      if (message.kind === "update") return updates.add(message.update);
      updates.stop();
      listener.onReset?.(message.state);
    },
    stop: () => updates.stop(),
  };
}

/**
 * Listens to one instance until the function that is returned is called, or its last event has come.
 *
 *     useEffect(() => watchInstance(id, { onUpdates: () => run.reload() }), [id]);
 */
export function watchInstance(id: string, listener: Listener): () => void {
  const { take, stop } = relay(listener);
  const stream = new Stream(`/admin/instances/${encodeURIComponent(id)}/events`, (message) => {
    take(message);
    const state = message.kind === "update" ? message.update : message.state;
    if (state?.ended || state?.purged) stream.close();
  });
  return () => {
    stop();
    stream.close();
  };
}

const hubListeners = new Set<(message: Message) => void>();
let hubStream: Stream | null = null;

/** Listens to all instances of the hub; however many do, there is one stream. */
export function watchHub(listener: Listener): () => void {
  const { take, stop } = relay(listener);
  hubListeners.add(take);
  hubStream ??= new Stream("/admin/events", toAll, streamIs);
  return () => {
    stop();
    hubListeners.delete(take);
    if (hubListeners.size > 0) return;
    hubStream?.close();
    hubStream = null;
    streamIs("none");
  };
}

function toAll(message: Message): void {
  for (const take of [...hubListeners]) take(message);
}
